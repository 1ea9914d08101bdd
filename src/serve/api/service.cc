#include "serve/api/service.h"

#include <algorithm>
#include <ctime>
#include <utility>

#include "base/error.h"
#include "engine/generate.h"
#include "grammar/structured_output.h"
#include "serve/http/api_error.h"
#include "serve/http/connection.h"

namespace tessera::serve {
namespace {

size_t longest_token(const Tokenizer& tokenizer) {
  size_t longest = 1;
  for (size_t token = 0; token < tokenizer.vocabulary_size(); ++token)
    longest = std::max(longest, tokenizer.piece(static_cast<Token>(token), true).size());
  return longest;
}

// Whoever may have it is told by name.
void check_priority(int priority) {
  if (priority >= 0 || Connection::current()->client().may_prioritize) return;
  throw ApiError(
      403, "permission_error",
      fmt::format("'priority' is {}: to be served before others takes a key that may, or "
                  "a server that allows it (--allow-priority)",
                  priority),
      "priority");
}

}  // namespace

Service::Service(const Session& session, Engine& engine, ServiceOptions options)
    : session_(session),
      options_(std::move(options)),
      most_tokens_(std::min(session.model->config().context,
                            engine.pool().capacity() * engine.pool().block_tokens())),
      longest_token_(longest_token(*session.tokenizer)),
      started_(std::time(nullptr)),
      metrics_(options_.model_name),
      loop_(engine, *session.tokenizer, metrics_, options_.max_sequences + options_.max_queue) {
  session_.chat_formats->standard();  // a template that does not parse is to be known at the start
  session_.chat_formats->with_tools();
}

void Service::check_model(const std::string& name) const {
  if (name.empty() || name == options_.model_name || find_adapter(name) != nullptr) return;
  throw ApiError(404, "invalid_request_error",
                 fmt::format("there is no model '{}'; '{}' is served", name, options_.model_name),
                 "model", "model_not_found");
}

const LoadedAdapter* Service::find_adapter(std::string_view name) const {
  // A model that is called as one of its adapters is meant itself.
  if (name == options_.model_name) return nullptr;
  const auto found = std::ranges::find(session_.adapters, name, &LoadedAdapter::name);
  return found == session_.adapters.end() ? nullptr : &*found;
}

AdapterMix Service::adapters_of(const std::string& model, const LoraChoices& lora) const {
  const LoadedAdapter* named = find_adapter(model);
  const auto number_of = [&](const LoadedAdapter& adapter) {
    return static_cast<int>(&adapter - session_.adapters.data());
  };
  if (!lora) {
    if (named == nullptr) return session_.model->default_adapters();
    // One that was loaded for those who ask for it has no scale of its own.
    return {{number_of(*named), named->scale == 0 ? 1.0f : named->scale}};
  }
  if (named != nullptr) {
    bad_request("lora", "'lora' is given, but 'model' names the adapter '{}': expected one of them",
                model);
  }
  std::vector<LoraUse> uses;
  for (const LoraChoice& choice : *lora) {
    int id = choice.id;
    if (id < 0) {
      const LoadedAdapter* adapter = find_adapter(choice.name);
      if (adapter == nullptr) {
        bad_request("lora.name", "there is no LoRA adapter '{}'; GET /lora-adapters lists them",
                    choice.name);
      }
      id = number_of(*adapter);
    }
    uses.push_back({id, choice.scale});
  }
  try {
    return choose_adapters(*session_.model, uses);
  } catch (const Error& error) {
    bad_request("lora", "{}", error.what());
  }
}

std::vector<Token> Service::tokens_of(const ChatPrompt& prompt, const PromptCut& cut,
                                      int beside) const {
  check_text(prompt.text.size(), "messages", cut);
  return cut_to_fit(session_.tokenizer->encode(
                        prompt.text, {.add_special = cut.add_special, .literal = prompt.literal}),
                    cut, beside);
}

std::vector<Token> Service::tokens_of(const Prompt& prompt, std::string_view field,
                                      const PromptCut& cut, int beside) const {
  const auto* text = std::get_if<std::string>(&prompt);
  if (text == nullptr) return cut_to_fit(std::get<std::vector<Token>>(prompt), cut, beside);
  check_text(text->size(), field, cut);
  return cut_to_fit(encode(*text, cut), cut, beside);
}

std::vector<Token> Service::encode(std::string_view text, const PromptCut& cut) const {
  return session_.tokenizer->encode(
      text, {.add_special = cut.add_special, .parse_special = parses_special(cut)});
}

void Service::check_text(size_t bytes, std::string_view field, const PromptCut& cut) const {
  if (Connection::current()->is_gone()) throw client_is_gone();
  if (cut.last == 0 || bytes > kMostBytes) check_size(bytes, field);
}

std::vector<Token> Service::cut_to_fit(std::vector<Token> tokens, const PromptCut& cut,
                                       int beside) const {
  const int most = cut.last < 0 ? std::max(1, most_tokens_ - beside) : cut.last;
  if (cut.last != 0 && tokens.size() > static_cast<size_t>(most))
    tokens.erase(tokens.begin(), tokens.end() - most);
  return tokens;
}

// To cut a text into tokens takes far longer than to count its bytes.
void Service::check_size(size_t bytes, std::string_view field) const {
  if (bytes / longest_token_ <= static_cast<size_t>(most_tokens_)) return;
  throw ApiError(400, "invalid_request_error",
                 fmt::format("the prompt has {} bytes, the context holds {} tokens of at most {}",
                             bytes, most_tokens_, longest_token_),
                 std::string(field), "context_length_exceeded");
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
  try {
    return find_constraint(*session_.structured_output, p.generate);
  } catch (const Error& error) {
    bad_request(p.form_field, "{}", error.what());
  }
}

void Service::add_choices(const GenerationParameters& p, const std::vector<Token>& prompt,
                          std::string_view field,
                          std::shared_ptr<const ConstraintSource> constraint,
                          std::vector<JobChoice>& choices) const {
  check_priority(p.priority);
  const int room = room_after(prompt, field);
  Request request = make_request(prompt, p.generate, std::move(constraint), *session_.tokenizer,
                                 session_.model->config().context);
  request.max_tokens = p.generate.max_tokens < 0 ? room : std::min(p.generate.max_tokens, room);
  request.priority = p.priority;
  request.cache_salt = p.cache_salt;
  request.adapters = adapters_of(p.model, p.lora);
  request.top_logprobs = p.top_logprobs;
  request.prompt_logprobs_from = p.prompt_logprobs ? 1 : 0;
  if (p.generate.beams > 1) {
    if (p.generate.max_tokens < 0)
      request.max_tokens = std::min(room, loop_.longest_answer(request));
    const int search = static_cast<int>(choices.size());
    choices.push_back({.request = std::move(request), .stop = p.generate.stop});
    for (int i = 1; i < p.n; ++i) choices.push_back({.search = search});
    return;
  }
  for (int i = 0; i < p.n; ++i) {
    JobChoice choice{.request = request, .stop = p.generate.stop};
    std::optional<uint64_t>& seed = choice.request.sampling.seed;
    if (seed) *seed += static_cast<uint64_t>(i);
    if (i > 0) choice.sibling = static_cast<int>(choices.size()) - i;
    choices.push_back(std::move(choice));
  }
}

std::shared_ptr<Job> Service::submit(std::vector<JobChoice> choices) {
  Connection& connection = *Connection::current();
  for (JobChoice& choice : choices) {
    if (choice.search >= 0) continue;
    choice.request.client = connection.client().name;
    loop_.validate(choice.request);
  }
  connection.end_preparing();
  try {
    return loop_.submit(std::move(choices));
  } catch (const Overloaded& busy) {
    ApiError error(429, "rate_limit_error", busy.what(), "", "rate_limit_exceeded");
    error.retry_after = busy.retry_after;
    throw error;
  } catch (const Closed& closed) {
    throw ApiError(503, "server_error", closed.what());
  }
}

}  // namespace tessera::serve
