// The public API on top of a Session.
#include <fmt/format.h>

#include <utility>

#include "engine/session.h"
#include "tessera/tessera.h"

namespace tessera {

struct LanguageModel::Impl {
  Session session;
  std::unique_ptr<Engine> engine;
};

LanguageModel::LanguageModel(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LanguageModel::~LanguageModel() = default;
LanguageModel::LanguageModel(LanguageModel&&) noexcept = default;
LanguageModel& LanguageModel::operator=(LanguageModel&&) noexcept = default;

LanguageModel LanguageModel::load(const std::string& reference, const LoadOptions& options) {
  auto impl = std::make_unique<Impl>();
  impl->session = Session::load(reference, options);
  impl->engine = impl->session.make_engine();
  return LanguageModel(std::move(impl));
}

Generation LanguageModel::generate(std::string_view prompt, const GenerateOptions& options,
                                   const TextCallback& on_text) {
  const Tokenizer& tokenizer = *impl_->session.tokenizer;
  return tessera::generate(*impl_->engine, tokenizer,
                           encode_prompt(tokenizer, prompt, options.parse_special), options,
                           on_text, find_constraint(*impl_->session.structured_output, options));
}

Generation LanguageModel::chat(const std::vector<ChatMessage>& messages,
                               const GenerateOptions& options, const TextCallback& on_text) {
  return generate(render_chat(messages), options, on_text);
}

std::string LanguageModel::render_chat(const std::vector<ChatMessage>& messages) const {
  const ChatFormat format =
      load_chat_format(impl_->session.checkpoint->read_chat_templates(), *impl_->session.tokenizer);
  std::vector<Message> converted;
  for (const ChatMessage& message : messages)
    converted.push_back({.role = message.role, .content = message.content});
  return tessera::render_chat(format, converted);
}

std::vector<int32_t> LanguageModel::tokenize(std::string_view text, bool add_special,
                                             bool parse_special) const {
  return impl_->session.tokenizer->encode(
      text, {.add_special = add_special, .parse_special = parse_special});
}

std::string LanguageModel::detokenize(const std::vector<int32_t>& tokens) const {
  return impl_->session.tokenizer->decode(tokens);
}

int LanguageModel::context() const {
  return impl_->session.model->config().context;
}
int LanguageModel::vocabulary_size() const {
  return impl_->session.model->config().vocabulary;
}
double LanguageModel::load_ms() const {
  return impl_->session.load_ms;
}

std::string LanguageModel::description() const {
  const Model& model = *impl_->session.model;
  return fmt::format("{}, {:.1f} MB of weights; {}", model.config().architecture->name,
                     static_cast<double>(model.weight_bytes()) / 1e6,
                     model.backend().description());
}

}  // namespace tessera
