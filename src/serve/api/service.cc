#include "serve/api/service.h"

#include <algorithm>
#include <ctime>
#include <utility>

#include "base/error.h"
#include "grammar/structured_output.h"
#include "serve/http/api_error.h"
#include "serve/http/identifiers.h"

namespace tessera::serve {
namespace {

// Some models have a template of its own for conversations with tools.
std::string tool_template_name(const ChatTemplates& templates) {
  return templates.named.contains("tool_use") ? "tool_use" : "";
}

std::string source_of(const ChatTemplates& templates, const std::string& name) {
  return find_chat_template(templates, name).value_or(std::string(kChatMlTemplate));
}

}  // namespace

Service::Service(const Session& session, Engine& engine, ServiceOptions options)
    : session_(session),
      options_(std::move(options)),
      most_tokens_(std::min(session.model->config().context,
                            engine.pool().capacity() * engine.pool().block_tokens())),
      chat_source_(source_of(session.checkpoint->read_chat_templates(), "")),
      tool_chat_source_(source_of(session.checkpoint->read_chat_templates(),
                                  tool_template_name(session.checkpoint->read_chat_templates()))),
      chat_format_(load_chat_format(session.checkpoint->read_chat_templates(), *session.tokenizer)),
      tool_chat_format_(
          load_chat_format(session.checkpoint->read_chat_templates(), *session.tokenizer,
                           tool_template_name(session.checkpoint->read_chat_templates()))),
      started_(std::time(nullptr)),
      metrics_(options_.model_name),
      loop_(engine, *session.tokenizer, metrics_, options_.max_sequences + options_.max_queue) {}

void Service::check_model(const std::string& name) const {
  if (name.empty() || name == options_.model_name) return;
  throw ApiError(404, "invalid_request_error",
                 fmt::format("there is no model '{}'; '{}' is served", name, options_.model_name),
                 "model", "model_not_found");
}

std::vector<Token> Service::tokens_of(const Prompt& prompt) const {
  const auto* text = std::get_if<std::string>(&prompt);
  return text != nullptr ? encode_prompt(*session_.tokenizer, *text)
                         : std::get<std::vector<Token>>(prompt);
}

int Service::room_after(const std::vector<Token>& prompt, std::string_view field) const {
  if (prompt.size() <= static_cast<size_t>(most_tokens_)) {
    const int room = most_tokens_ - static_cast<int>(prompt.size());
    // The last token of a full context is predicted, and never read.
    return most_tokens_ == session_.model->config().context ? room + 1 : std::max(room, 1);
  }
  throw ApiError(
      400, "invalid_request_error",
      fmt::format("the prompt has {} tokens, the context holds {}", prompt.size(), most_tokens_),
      std::string(field), "context_length_exceeded");
}

std::shared_ptr<const ConstraintSource> Service::constraint_of(
    const GenerationParameters& p) const {
  StructuredOutput& structured = *session_.structured_output;
  try {
    switch (p.form) {
      case AnswerForm::kText:
        return nullptr;
      case AnswerForm::kJsonObject:
        return structured.json_object();
      case AnswerForm::kJsonSchema:
        return structured.json_schema(p.form_source);
      case AnswerForm::kGrammar:
        return structured.grammar(p.form_source);
    }
  } catch (const Error& error) {
    bad_request(p.form == AnswerForm::kGrammar ? "grammar" : "response_format", "{}", error.what());
  }
  return nullptr;
}

void Service::add_choices(const GenerationParameters& p, const std::vector<Token>& prompt,
                          std::string_view field,
                          std::shared_ptr<const ConstraintSource> constraint,
                          std::vector<JobChoice>& choices) const {
  const int room = room_after(prompt, field);
  const uint64_t seed = p.has_seed ? p.sampling.seed : random_number();
  for (int i = 0; i < p.n; ++i) {
    JobChoice choice{.request = {}, .stop = p.stop};
    Request& request = choice.request;
    request.prompt = prompt;
    request.max_tokens = p.max_tokens < 0 ? room : std::min(p.max_tokens, room);
    request.ignore_eos = p.ignore_eos;
    request.sampling = p.sampling;
    request.sampling.seed = seed + i;
    request.sampling.constraint = constraint;
    request.decoder = p.decoder;
    request.priority = p.priority;
    request.cache_salt = p.cache_salt;
    request.top_logprobs = p.top_logprobs;
    request.prompt_logprobs = p.prompt_logprobs;
    choices.push_back(std::move(choice));
  }
}

std::shared_ptr<Job> Service::submit(std::vector<JobChoice> choices) {
  for (const JobChoice& choice : choices) loop_.validate(choice.request);
  return loop_.submit(std::move(choices));
}

}  // namespace tessera::serve
