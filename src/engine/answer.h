// An answer as its reader sees it: text and log-probabilities, from the tokens that an engine
// commits. The one path from tokens to text, for the library, the command line and the server.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "engine/sequence.h"
#include "engine/text_stream.h"

namespace tessera {

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

 private:
  const Tokenizer& tokenizer_;
  TextStream text_;
  size_t taken_ = 0;  // tokens
};

}  // namespace tessera
