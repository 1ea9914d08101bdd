// What chat and completion objects have in common. For answers.h only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "serve/api/answers.h"

namespace tessera::serve {

// {"prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details"} of several
// answers, "completion_tokens_details" if something was predicted, and "decoder_details" if
// something was drafted.
class Usage {
 public:
  // `counts_prompt`: the first answer of its prompt.
  void add(const Outcome& outcome, bool counts_prompt);
  Json json() const;

 private:
  int64_t prompt_ = 0, generated_ = 0, cached_ = 0;
  int64_t accepted_prediction_ = 0, rejected_prediction_ = 0;
  int64_t steps_ = 0, drafted_ = 0, accepted_ = 0;
};

// What every object begins with: {"id", "object", "created", "model"}.
struct Envelope {
  std::string id, model;
  int64_t created = 0;
  Json object(std::string_view kind) const;
};
Envelope new_envelope(std::string_view id_prefix, std::string model);

// Answers that are choices of one object: chats and completions.
class ChoiceAnswers : public Answers {
 public:
  // `kind`: of whole objects; `chunk_kind`: of those in a stream.
  ChoiceAnswers(const Tokenizer& tokenizer, AnswersOptions options, std::string_view id_prefix,
                std::string_view kind, std::string_view chunk_kind)
      : tokenizer_(tokenizer),
        options_(std::move(options)),
        envelope_(new_envelope(id_prefix, options_.model)),
        kind_(kind),
        chunk_kind_(chunk_kind) {}

  std::vector<Json> end() override;

 protected:
  Json object_of(Json choices) const;  // the whole answer
  Json chunk_of(Json choice) const;
  // Counts the outcome; returns its finish_reason.
  std::string take(const Outcome& outcome, int choice);

  const Tokenizer& tokenizer_;
  const AnswersOptions options_;

 private:
  Envelope envelope_;
  std::string_view kind_, chunk_kind_;
  Usage usage_;
};

// JSON has no -infinity.
inline float finite(float logprob) {
  return std::max(logprob, -9999.0f);
}

// A token's text as completions spell it: one that is no UTF-8 by itself is "bytes:\xe6\x97".
std::string spelled(const Tokenizer& tokenizer, Token token);

// A token's text; bytes that are no UTF-8 by themselves become U+FFFD.
std::string shown(const Tokenizer& tokenizer, Token token);

}  // namespace tessera::serve
