// The public API on top of a Session.
#include <fmt/format.h>

#include <utility>

#include "base/error.h"
#include "engine/generate.h"
#include "engine/session.h"
#include "tessera/tessera.h"

namespace tessera {

struct LanguageModel::Impl {
  Session session;
  std::unique_ptr<Engine> engine;

  std::vector<Token> tokens_of(std::string_view prompt, const GenerateOptions& options) const {
    return session.tokenizer->encode(prompt, {.parse_special = options.parse_special});
  }

  ChatPrompt chat_prompt(const std::vector<ChatMessage>& messages, bool parse_special) const {
    std::vector<Message> converted;
    for (const ChatMessage& message : messages)
      converted.push_back({.role = message.role, .content = message.content});
    return make_chat_prompt(session.chat_formats->standard(), converted,
                            {.parse_special = parse_special});
  }

  Request request_of(std::vector<Token> prompt, const GenerateOptions& options,
                     std::shared_ptr<const ConstraintSource> constraint) const {
    Request request = make_request(std::move(prompt), options, std::move(constraint),
                                   *session.tokenizer, session.model->config().context);
    request.adapters = choose_adapters(*session.model, options.lora);
    if (options.beams > 1 && options.max_tokens < 0)
      request.max_tokens = engine->longest_answer(request);
    return request;
  }

  std::vector<Generation> generate(std::vector<std::vector<Token>> prompts,
                                   const GenerateOptions& options,
                                   const BatchTextCallback& on_text) {
    const auto constraint = find_constraint(*session.structured_output, options);
    std::vector<GenerateTask> tasks;
    for (std::vector<Token>& prompt : prompts) {
      tasks.push_back({.request = request_of(std::move(prompt), options, constraint)});
    }
    return tessera::generate(*engine, *session.tokenizer, std::move(tasks), options, on_text);
  }

  Generation generate_one(std::vector<Token> prompt, const GenerateOptions& options,
                          const TextCallback& on_text) {
    std::vector<std::vector<Token>> prompts;
    prompts.push_back(std::move(prompt));
    return generate(std::move(prompts), options,
                    [&](size_t, std::string_view text) { return !on_text || on_text(text); })[0];
  }

  struct RunResult {
    Generation generation;
    std::shared_ptr<Sequence> sequence;
  };
  RunResult run(GenerateTask task, const GenerateOptions& options = {},
                const TextCallback& on_text = {}) {
    RunResult result;
    task.finished = &result.sequence;
    std::vector<GenerateTask> tasks;
    tasks.push_back(std::move(task));
    result.generation = tessera::generate(
        *engine, *session.tokenizer, std::move(tasks), options,
        [&](size_t, std::string_view text) { return !on_text || on_text(text); })[0];
    return result;
  }
};

LanguageModel::LanguageModel(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
LanguageModel::~LanguageModel() = default;
LanguageModel::LanguageModel(LanguageModel&&) noexcept = default;
LanguageModel& LanguageModel::operator=(LanguageModel&&) noexcept = default;

LanguageModel LanguageModel::load(const std::string& reference, const LoadOptions& options) {
  auto impl = std::make_shared<Impl>();
  impl->session = Session::load(reference, options);
  impl->engine = impl->session.make_engine();
  return LanguageModel(std::move(impl));
}

Generation LanguageModel::generate(std::string_view prompt, const GenerateOptions& options,
                                   const TextCallback& on_text) {
  return impl_->generate_one(impl_->tokens_of(prompt, options), options, on_text);
}

std::vector<Generation> LanguageModel::generate(const std::vector<std::string>& prompts,
                                                const GenerateOptions& options,
                                                const BatchTextCallback& on_text) {
  std::vector<std::vector<Token>> tokens;
  for (const std::string& prompt : prompts) tokens.push_back(impl_->tokens_of(prompt, options));
  return impl_->generate(std::move(tokens), options, on_text);
}

Generation LanguageModel::chat(const std::vector<ChatMessage>& messages,
                               const GenerateOptions& options, const TextCallback& on_text) {
  impl_->session.model->require_logits();  // before its template, which it hardly has
  const ChatPrompt prompt = impl_->chat_prompt(messages, options.parse_special);
  return impl_->generate_one(
      impl_->session.tokenizer->encode(prompt.text, {.literal = prompt.literal}), options, on_text);
}

std::string LanguageModel::render_chat(const std::vector<ChatMessage>& messages) const {
  return impl_->chat_prompt(messages, true).text;
}

bool LanguageModel::has_chat_template() const {
  return impl_->session.chat_formats->has_template();
}

Branch LanguageModel::branch(std::string_view text) {
  return {impl_, impl_->session.tokenizer->encode(text)};
}

std::vector<int32_t> LanguageModel::tokenize(std::string_view text, bool add_special,
                                             bool parse_special) const {
  return impl_->session.tokenizer->encode(
      text, {.add_special = add_special, .parse_special = parse_special});
}

std::string LanguageModel::detokenize(const std::vector<int32_t>& tokens) const {
  return impl_->session.tokenizer->decode(tokens);
}

const SamplingOptions& LanguageModel::recommended_sampling() const {
  return impl_->session.sampling;
}

std::vector<std::string> LanguageModel::lora_names() const {
  std::vector<std::string> names;
  for (const LoadedAdapter& adapter : impl_->session.adapters) names.push_back(adapter.name);
  return names;
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

// --- branches

Branch::Branch(std::shared_ptr<LanguageModel::Impl> model, std::vector<int32_t> tokens)
    : model_(std::move(model)), tokens_(std::move(tokens)) {
  compute();
}

Branch Branch::fork() const {
  return *this;  // whoever goes on shares the blocks of kept_, and copies what it writes to
}

void Branch::append(std::string_view text) {
  const auto more = model_->session.tokenizer->encode(text, {.add_special = false});
  if (more.empty()) return;
  Branch longer = *this;  // should this fail, the branch stays as it was
  longer.tokens_.insert(longer.tokens_.end(), more.begin(), more.end());
  longer.compute();
  *this = std::move(longer);
}

void Branch::compute() {
  Request request;
  request.prompt = tokens_;
  request.adapters = model_->session.model->default_adapters();
  request.keeps_blocks = true;
  kept_ = model_->run({.request = std::move(request), .sibling = kept_}).sequence;
}

double Branch::score(std::string_view continuation) const {
  const auto more = model_->session.tokenizer->encode(continuation, {.add_special = false});
  if (more.empty()) return 0;
  Request request;
  request.prompt = tokens_;
  request.adapters = model_->session.model->default_adapters();
  request.prompt.insert(request.prompt.end(), more.begin(), more.end());
  request.prompt_logprobs_from = static_cast<int>(tokens_.size());
  const auto run = model_->run({.request = std::move(request), .sibling = kept_});
  double sum = 0;
  for (const TokenLogprobs& token : run.sequence->prompt_logprobs) sum += token.logprob;
  return sum;
}

Generation Branch::generate(const GenerateOptions& options, const TextCallback& on_text) {
  return generate(std::span(this, 1), options,
                  [&](size_t, std::string_view text) { return !on_text || on_text(text); })[0];
}

std::vector<Generation> Branch::generate(std::span<Branch> branches, const GenerateOptions& options,
                                         const BatchTextCallback& on_text) {
  if (branches.empty()) return {};
  LanguageModel::Impl& model = *branches.front().model_;
  const auto constraint = find_constraint(*model.session.structured_output, options);
  std::vector<std::shared_ptr<Sequence>> sequences(branches.size());
  std::vector<GenerateTask> tasks;
  for (size_t i = 0; i < branches.size(); ++i) {
    if (branches[i].model_.get() != &model) fail("the branches are of different models");
    GenerateTask task{.request = model.request_of(branches[i].tokens_, options, constraint),
                      .sibling = branches[i].kept_,
                      .finished = &sequences[i]};
    task.request.keeps_blocks = true;
    if (options.sampling.seed) *task.request.sampling.seed += i;
    tasks.push_back(std::move(task));
  }
  std::vector<Generation> generations = tessera::generate(*model.engine, *model.session.tokenizer,
                                                          std::move(tasks), options, on_text);
  for (size_t i = 0; i < branches.size(); ++i) {
    // A step may have given more than the answer has, where a stop text ended it.
    const auto& tokens = generations[i].tokens;
    branches[i].tokens_.insert(branches[i].tokens_.end(), tokens.begin(), tokens.end());
    branches[i].kept_ = std::move(sequences[i]);
  }
  return generations;
}

}  // namespace tessera
