// The draw of a token from a row of logits, and what of the probability lies before a token: vector
// passes over those blocks of the row that can matter (block_maxima.h).
#pragma once

#include <cstdint>
#include <limits>
#include <span>

#include "base/token.h"

namespace tessera {

// A token and its logit, as it comes or scaled. The order of likelihood is: the larger logit first,
// of equals the lower id.
struct TokenLogit {
  float logit;
  Token token;
};
inline bool more_likely(const TokenLogit& a, const TokenLogit& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
}
// Behind every token.
inline constexpr TokenLogit kLeastLikely{-std::numeric_limits<float>::infinity(),
                                         std::numeric_limits<Token>::max()};

// A row of logits, and which of its tokens take part: all but NaN down to `last`, whose logit is
// one of the row.
struct Candidates {
  std::span<const float> logits;
  std::span<const float> maxima;  // of its blocks
  float best;                     // the largest of them
  float temperature;              // > 0
  TokenLogit last = kLeastLikely;

  // (logit - best) / temperature, at most 0. The difference first: with a tiny temperature,
  // dividing first would give inf - inf.
  float scaled(float logit) const { return logit == best ? 0.0f : (logit - best) / temperature; }
};

// What the noise of a draw depends on (random.h).
struct Noise {
  uint64_t seed, position;
};

// The sum of exp(scaled logit) over the candidates that are more likely than `end`, whose logit is
// a scaled one. exp is of floats, within 2 ulp and 1 for the most likely token; the sum is of
// doubles, in an order that depends on the row, the candidates and `end` alone. What could not
// reach its last bit may be left out.
double mass_before(const Candidates& candidates, TokenLogit end);

// Of the candidates that are more likely than `end`, the one with the largest
// scaled logit + gumbel(seed, position, token), the lowest id of equals; its scaled logit beside
// it. 0 if there is none. `floor`: none with a smaller scaled logit can be the answer, so they may
// be passed over. The most likely token has to be among them.
TokenLogit draw(const Candidates& candidates, Noise noise, TokenLogit end, float floor);

}  // namespace tessera
