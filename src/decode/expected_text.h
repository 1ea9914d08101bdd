// Follows an answer through a text that it is expected to resemble, such as the file that it edits.
#pragma once

#include <span>

#include "base/token.h"

namespace tessera {

// Where the answer stands in the text: the position of the next token, and how many before it came
// as expected. After a difference, the position of the first token that did not come, and less one
// for each token that came since.
struct ExpectedPlace {
  int at = 0;
  int run = 1;  // the answer is expected to begin where the text does

  bool is_lost() const { return run <= 0; }
  // While lost: where the text goes on if as many tokens were replaced by as many others.
  int behind_replaced() const { return at - run; }
};

// The place one token further. After a difference the text is found again behind what was replaced,
// or a few tokens further, so what is left out or put in does not matter.
ExpectedPlace follow(std::span<const Token> text, ExpectedPlace place, Token token);

// How many tokens of `text` an answer has, in their order. What is far from where it was expected
// does not count.
int count_predicted(std::span<const Token> text, std::span<const Token> answer);

}  // namespace tessera
