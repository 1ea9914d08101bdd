// How likely the model itself held a token: from the raw logits, before temperature, penalties,
// biases and filters.
#pragma once

#include <span>
#include <utility>
#include <vector>

#include "base/token.h"

namespace tessera {

struct TokenLogprobs {
  Token token = 0;
  float logprob = 0;
  // The most likely tokens, the likeliest first; equals in the order of their ids.
  std::vector<std::pair<Token, float>> top;
};

// log softmax(logits) of `token` and of the `count` likeliest tokens.
TokenLogprobs find_logprobs(std::span<const float> logits, Token token, int count);

}  // namespace tessera
