// An answer as its reader sees it: text and log-probabilities, from the tokens that an engine
// commits. The one path from tokens to text, for the library, the command line and the server.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "engine/sequence.h"
#include "engine/text_stream.h"

namespace tessera {

// How an answer ended, and what it took.
struct Ending {
  std::string finish_reason;  // "stop", "length", "cancelled", "error"
  // Something else than the model ended it: its length, a stop text or token, somebody.
  bool is_cut = false;
  int prompt_tokens = 0, generated_tokens = 0;
  int cached_tokens = 0;                     // of the prompt, found in the prefix cache
  int steps = 0, drafted = 0, accepted = 0;  // forward passes that gave tokens; tokens
  // Tokens of the prediction that the answer has in its order, and the others.
  int accepted_prediction = 0, rejected_prediction = 0;
};

class Answer {
 public:
  // The answer ends before the first of the texts in `stop`.
  Answer(const Tokenizer& tokenizer, std::vector<std::string> stop)
      : tokenizer_(tokenizer), text_(tokenizer, std::move(stop)) {}

  struct Piece {
    std::string text;                     // whole characters that can no longer change
    std::vector<TokenLogprobs> logprobs;  // of the tokens in the text, if asked for
  };
  // `tokens` are the next that `sequence` has committed; their logprobs are taken out of it.
  Piece push(Sequence& sequence, std::span<const Token> tokens);
  // What is left of the text when the sequence has finished.
  std::string finish() { return text_.finish(); }

  // A stop text was seen: no more comes.
  bool stopped() const { return text_.stopped(); }
  // Of `sequence`, once it has finished.
  Ending ending(const Sequence& sequence) const;

 private:
  const Tokenizer& tokenizer_;
  TextStream text_;
  size_t taken_ = 0;    // tokens
  bool ended_ = false;  // by the model
};

}  // namespace tessera
