// Absmax and zero-point by their formulas, in double.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/half.h"
#include "compress/methods/method.h"
#include "support/random_floats.h"

namespace tessera {
namespace {

struct Case {
  const Format* format;
  const Method* method;
  double most;  // the highest level (absmax), the last code (zero-point)
};

class MinMax : public testing::TestWithParam<Case> {};

double f16(double x) {
  return static_cast<double>(f16_to_f32(f32_to_f16(static_cast<float>(x))));
}

TEST_P(MinMax, IsTheFormula) {
  const auto& [format, method, most] = GetParam();
  const size_t size = format->block_elements;
  Floats weights = random_floats(8 * size, 4, 0.02f);
  std::fill_n(weights.begin(), size, 0.0f);
  std::vector<std::byte> bytes(format->row_bytes(weights.size()));
  method->without_text(*format, {}, {})->encode(weights, 1, bytes.data());
  Floats values(weights.size());
  format->decode(bytes.data(), values);
  for (size_t first = 0; first < weights.size(); first += size) {
    const auto [low, high] =
        std::minmax_element(weights.begin() + static_cast<ptrdiff_t>(first),
                            weights.begin() + static_cast<ptrdiff_t>(first + size));
    const double least = *low, largest = *high;
    const bool absmax = method == &kAbsmax;
    const double scale = f16((absmax ? std::max(-least, largest) : largest - least) / most);
    const double min = absmax ? 0 : f16(least);
    for (size_t i = first; i < first + size; ++i) {
      const auto w = static_cast<double>(weights[i]);
      double code = scale > 0 ? std::nearbyint((w - min) / scale) : 0;
      if (!absmax) code = std::clamp(code, 0.0, most);
      EXPECT_NEAR(values[i], min + scale * code, 1e-6 * std::abs(least)) << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, MinMax,
                         testing::Values(Case{&kQ4_0, &kAbsmax, 7}, Case{&kQ5_0, &kAbsmax, 15},
                                         Case{&kQ8_0, &kAbsmax, 127}, Case{&kQ4_1, &kZeroPoint, 15},
                                         Case{&kQ5_1, &kZeroPoint, 31}),
                         [](const auto& instance) {
                           return std::string(instance.param.format->name);
                         });

TEST(MinMaxFormats, AreThoseOfOneGroup) {
  EXPECT_TRUE(kAbsmax.takes(kQ4_0));
  EXPECT_TRUE(kAbsmax.takes(kIQ4_NL));
  EXPECT_FALSE(kAbsmax.takes(kQ4_1));
  EXPECT_FALSE(kAbsmax.takes(kQ6_K));
  EXPECT_TRUE(kZeroPoint.takes(kQ4_1));
  EXPECT_FALSE(kZeroPoint.takes(kQ4_K));
  EXPECT_FALSE(kZeroPoint.takes(kF16));
}

}  // namespace
}  // namespace tessera
