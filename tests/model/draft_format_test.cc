#include "model/draft_format.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace tessera {
namespace {

// Each element is within half a step of the block's scale, or at the end that has one code less.
TEST(DraftFormat, RoundsToTheLargestElementsScale) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (int block = 0; block < 200; ++block) {
    std::vector<float> values(32), decoded(32);
    float largest = 0;
    for (float& value : values) {
      value = block == 0 ? 0 : normal(random);
      largest = std::max(largest, std::abs(value));
    }
    std::vector<std::byte> bytes(draft_format(32)->block_bytes);
    draft_format(32)->encode(values, bytes.data(), {});
    kQ4_0.decode(bytes.data(), decoded);
    const float step = largest / 8;
    for (size_t i = 0; i < values.size(); ++i)
      EXPECT_LE(std::abs(decoded[i] - values[i]), step * 1.01F) << block;
  }
}

}  // namespace
}  // namespace tessera
