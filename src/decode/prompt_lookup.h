// Prompt lookup decoding (Saxena 2023): what followed the last few tokens when they last occurred
// is likely to follow again. Needs no model; pays off where an answer quotes its prompt.
#pragma once

#include "decode/drafter.h"

namespace tessera {

class PromptLookup final : public Drafter {
 public:
  explicit PromptLookup(int max_ngram = 3, int draft_tokens = 8)
      : max_ngram_(max_ngram), draft_tokens_(draft_tokens) {}
  TokenTree propose(std::span<const Token> tokens, int budget) override;

 private:
  int max_ngram_, draft_tokens_;
};

}  // namespace tessera
