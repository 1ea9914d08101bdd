#include "serve/api/answer_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "base/utf8.h"
#include "serve/http/identifiers.h"

namespace tessera::serve {

void Usage::add(const Outcome& outcome, bool counts_prompt) {
  generated_ += outcome.generated_tokens;
  accepted_prediction_ += outcome.accepted_prediction;
  rejected_prediction_ += outcome.rejected_prediction;
  steps_ += outcome.steps;
  drafted_ += outcome.drafted;
  accepted_ += outcome.accepted;
  if (!counts_prompt) return;
  prompt_ += outcome.prompt_tokens;
  cached_ += outcome.cached_tokens;
}

Json Usage::json() const {
  Json json = {{"prompt_tokens", prompt_},
               {"completion_tokens", generated_},
               {"total_tokens", prompt_ + generated_},
               {"prompt_tokens_details", {{"cached_tokens", cached_}}}};
  if (accepted_prediction_ + rejected_prediction_ > 0) {
    json["completion_tokens_details"] = {{"accepted_prediction_tokens", accepted_prediction_},
                                         {"rejected_prediction_tokens", rejected_prediction_}};
  }
  if (drafted_ > 0) {
    json["decoder_details"] = {
        {"steps", steps_}, {"drafted_tokens", drafted_}, {"accepted_tokens", accepted_}};
  }
  return json;
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

std::string spelled(const Tokenizer& tokenizer, Token token) {
  if (static_cast<size_t>(token) >= tokenizer.vocabulary_size()) return "";
  std::string piece = tokenizer.piece(token, true);
  if (is_valid_utf8(piece)) return piece;
  std::string spelling = "bytes:";
  for (const char c : piece) {
    const bool is_plain = c >= ' ' && c <= '~' && c != '\\';
    spelling += is_plain ? std::string(1, c) : fmt::format("\\x{:02x}", static_cast<uint8_t>(c));
  }
  return spelling;
}

std::vector<Json> ChoiceAnswers::end() {
  if (!options_.include_usage) return {};
  Json json = envelope_.object(chunk_kind_);
  json["choices"] = Json::array();
  json["usage"] = usage_.json();
  return {json};
}

Json ChoiceAnswers::object_of(Json choices) const {
  Json json = envelope_.object(kind_);
  json["choices"] = std::move(choices);
  json["usage"] = usage_.json();
  return json;
}

Json ChoiceAnswers::chunk_of(Json choice) const {
  Json json = envelope_.object(chunk_kind_);
  json["choices"] = Json::array();
  json["choices"].push_back(std::move(choice));
  if (options_.include_usage) json["usage"] = nullptr;
  return json;
}

// OpenAI knows "stop", "length" and "tool_calls".
std::string ChoiceAnswers::take(const Outcome& outcome, int choice) {
  if (error_.empty()) error_ = outcome.error;
  usage_.add(outcome, choice % options_.choices_per_prompt == 0);
  return outcome.finish_reason == "length" ? "length" : "stop";
}

}  // namespace tessera::serve
