// A guess drawn from another model's logits as the text's own sampler will draw: with its noise,
// filters, penalties and constraint, so that it says the same wherever the two models think alike
// (Daliri et al. 2025). How sure it is, its margin tells: by how much the drawn token won.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <vector>

#include "base/token.h"
#include "decode/sampler.h"

namespace tessera {

struct DrawnGuess {
  // Buckets by margin: of the drawn token, and behind them as many of the second.
  static constexpr int kMargins = 6;
  static constexpr std::array<float, 2 * kMargins> kChances = {
      0.5F, 0.6F,  0.7F, 0.82F, 0.93F, 0.98F,   // the drawn token
      0.3F, 0.25F, 0.2F, 0.1F,  0.04F, 0.01F};  // the second

  Token token;
  int bucket;
  std::optional<Token> second;
};

class GuessDrawer {
 public:
  // vocabulary: of the sampler, which may know more tokens than there are logits.
  explicit GuessDrawer(size_t vocabulary);

  // What `sampler`, a twin of the text's, draws of the logits behind `tokens`; nothing if its
  // constraint takes long.
  std::optional<DrawnGuess> draw(Sampler& sampler, std::span<const float> logits,
                                 std::span<const Token> tokens, size_t prompt_size);

 private:
  std::vector<float> logits_;  // of all tokens; what the drafting model does not know: -infinity
};

}  // namespace tessera
