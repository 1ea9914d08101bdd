#include "decode/block_maxima.h"

#include <array>
#include <limits>

namespace tessera {
namespace {

constexpr float kNothing = -std::numeric_limits<float>::infinity();
constexpr size_t kLanes = 16;

// a if that is larger; b if either is NaN. Compilers have an instruction for just this.
inline float max_or_second(float a, float b) {
  return a > b ? a : b;
}

}  // namespace

void find_block_maxima(std::span<const float> logits, std::vector<float>& maxima) {
  const size_t whole = logits.size() / kLogitBlock;
  maxima.resize((logits.size() + kLogitBlock - 1) / kLogitBlock);
  for (size_t block = 0; block < whole; ++block) {
    const float* values = logits.data() + block * kLogitBlock;
    std::array<float, kLanes> lanes;
    lanes.fill(kNothing);
    for (size_t i = 0; i < kLogitBlock; i += kLanes) {
      for (size_t lane = 0; lane < kLanes; ++lane)
        lanes[lane] = max_or_second(values[i + lane], lanes[lane]);
    }
    for (size_t width = kLanes / 2; width > 0; width /= 2) {
      for (size_t lane = 0; lane < width; ++lane)
        lanes[lane] = max_or_second(lanes[lane + width], lanes[lane]);
    }
    maxima[block] = lanes[0];
  }
  if (whole < maxima.size()) maxima[whole] = largest(logits.subspan(whole * kLogitBlock));
}

float largest(std::span<const float> maxima) {
  float best = kNothing;
  for (const float value : maxima) best = max_or_second(value, best);
  return best;
}

Token argmax(std::span<const float> logits, std::span<const float> maxima) {
  const float best = largest(maxima);
  if (best == kNothing) return 0;
  const auto block = static_cast<size_t>(std::ranges::find(maxima, best) - maxima.begin());
  const auto values = logits.subspan(block * kLogitBlock);
  return static_cast<Token>(block * kLogitBlock +
                            static_cast<size_t>(std::ranges::find(values, best) - values.begin()));
}

}  // namespace tessera
