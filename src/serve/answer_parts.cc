#include "serve/answer_parts.h"

#include <algorithm>
#include <ctime>

#include "serve/identifiers.h"
#include "text/utf8.h"

namespace tessera::serve {

void Usage::add(const Outcome& outcome, bool counts_prompt) {
  generated_ += outcome.generated_tokens;
  if (!counts_prompt) return;
  prompt_ += outcome.prompt_tokens;
  cached_ += outcome.cached_tokens;
}

Json Usage::json() const {
  return {{"prompt_tokens", prompt_},
          {"completion_tokens", generated_},
          {"total_tokens", prompt_ + generated_},
          {"prompt_tokens_details", {{"cached_tokens", cached_}}}};
}

Json Envelope::object(std::string_view kind) const {
  return {{"id", id}, {"object", kind}, {"created", created}, {"model", model}};
}

Envelope new_envelope(std::string_view id_prefix, std::string model) {
  return {.id = new_identifier(id_prefix),
          .model = std::move(model),
          .created = static_cast<int64_t>(std::time(nullptr))};
}

std::string shown(const Tokenizer& tokenizer, Token token) {
  if (static_cast<size_t>(token) >= tokenizer.vocabulary_size()) return "";
  return replace_invalid_bytes(tokenizer.piece(token, true));
}

std::string finish_reason_of(const Outcome& outcome) {
  return outcome.finish_reason == "length" ? "length" : "stop";
}

}  // namespace tessera::serve
