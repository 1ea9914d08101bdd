// Absmax and zero-point by their formulas, in double.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/half.h"
#include "compress/methods/method.h"
#include "formats/grouped.h"
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

// What the field calls rounding to nearest is one of the scales that a search may choose.
TEST(MinMaxFormats, ASearchNeverErrsMore) {
  std::vector<const Format*> formats(all_formats().begin(), all_formats().end());
  for (const int bits : {2, 3, 4, 8}) {
    for (const auto offset : {GroupedOffset::kNone, GroupedOffset::kZero}) {
      const bool is_symmetric = offset == GroupedOffset::kNone;
      formats.push_back(&grouped_format({.bits = bits,
                                         .offset = offset,
                                         .zero_point = is_symmetric ? 1 << (bits - 1) : 0,
                                         .group = 128}));
    }
  }
  int compared = 0;
  for (const Format* format : formats) {
    for (const Method* method : {&kAbsmax, &kZeroPoint}) {
      if (!method->takes(*format)) continue;
      ++compared;
      const size_t size = format->block_elements, count = 400;
      for (const bool is_weighed : {false, true}) {
        Floats weights = random_floats(count * size, 5, 0.02f);
        const Floats factors = random_floats(count * size, 6, 1);
        // Outliers, and blocks so small that rounding a scale to f16 is most of the error.
        for (size_t i = 0; i < weights.size(); ++i) {
          weights[i] *= 1 + 5 * std::pow(std::abs(factors[i]), 8.0f);
          if (i / size % 2 == 1) weights[i] *= std::pow(2.0f, -static_cast<float>(i / size % 20));
        }
        Floats importance(is_weighed ? weights.size() : 0, 1.0f);
        for (size_t i = 0; i < importance.size(); ++i) importance[i] = std::abs(factors[i]) + 0.1f;
        std::vector<std::byte> bytes(format->row_bytes(weights.size()));
        const auto errors = [&] {
          Floats values(weights.size());
          format->decode(bytes.data(), values);
          std::vector<double> sums(count);
          for (size_t i = 0; i < weights.size(); ++i) {
            const double e = double{weights[i]} - double{values[i]};
            sums[i / size] += e * e * (is_weighed ? double{importance[i]} : 1.0);
          }
          return sums;
        };
        method->without_text(*format, {}, {})->encode(weights, 1, bytes.data());
        const auto plain = errors();
        round_to_nearest(*format, importance)->encode(weights, 1, bytes.data());
        const auto searched = errors();
        for (size_t block = 0; block < count; ++block)
          ASSERT_LE(searched[block], (1 + 1e-5) * plain[block]) << format->name << ", " << block;
      }
    }
  }
  EXPECT_GE(compared, 14);
}

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
