#include "decode/drafters/drawn_guess.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

#include "decode/random.h"

namespace tessera {
namespace {

// In logits, from each on.
constexpr std::array<float, DrawnGuess::kMargins> kLeastMargins = {0, 0.5F, 1, 2, 4, 8};
// Of finding out what a constraint allows behind a drafted token: more than forms that people
// write take.
constexpr auto kMaskTime = std::chrono::milliseconds(1);

constexpr float kNothing = -std::numeric_limits<float>::infinity();

int bucket_of(float margin) {
  const auto above = std::ranges::upper_bound(kLeastMargins, margin);
  return std::max(0, static_cast<int>(above - kLeastMargins.begin()) - 1);
}

}  // namespace

GuessDrawer::GuessDrawer(size_t vocabulary) : logits_(vocabulary, kNothing) {}

std::optional<DrawnGuess> GuessDrawer::draw(Sampler& sampler, std::span<const float> logits,
                                            std::span<const Token> tokens, size_t prompt_size) {
  if (!sampler.prepare(tokens.subspan(prompt_size), Deadline::in(kMaskTime))) return std::nullopt;
  const size_t known = std::min(logits.size(), logits_.size());
  std::ranges::copy(logits.first(known), logits_.begin());
  const Token first = sampler.choose(logits_, tokens, prompt_size);
  const float logit = std::exchange(logits_[static_cast<size_t>(first)], kNothing);
  if (logit == kNothing) return std::nullopt;  // what may come it does not know
  const Token second = sampler.choose(logits_, tokens, prompt_size);
  const float other = logits_[static_cast<size_t>(second)];
  if (second == first || other == kNothing) return DrawnGuess{first, bucket_of(8), {}};
  const auto noise = [&](Token token) {
    return gumbel(sampler.seed(), tokens.size(), static_cast<uint32_t>(token));
  };
  const float temperature = sampler.options().temperature;
  const float noise_margin = temperature > 0 ? temperature * (noise(first) - noise(second)) : 0.0F;
  return DrawnGuess{first, bucket_of(logit - other + noise_margin), second};
}

}  // namespace tessera
