// What chat and completion objects have in common. For answers.h only.
#pragma once

#include <cstdint>
#include <string>

#include "serve/answers.h"

namespace tessera::serve {

// {"prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details"} of several
// answers.
class Usage {
 public:
  // `counts_prompt`: the first answer of its prompt.
  void add(const Outcome& outcome, bool counts_prompt);
  Json json() const;

 private:
  int64_t prompt_ = 0, generated_ = 0, cached_ = 0;
};

// What every object begins with: {"id", "object", "created", "model"}.
struct Envelope {
  std::string id, model;
  int64_t created = 0;
  Json object(std::string_view kind) const;
};
Envelope new_envelope(std::string_view id_prefix, std::string model);

// A token's text; bytes that are no UTF-8 by themselves become U+FFFD.
std::string shown(const Tokenizer& tokenizer, Token token);

// OpenAI knows "stop", "length" and "tool_calls".
std::string finish_reason_of(const Outcome& outcome);

}  // namespace tessera::serve
