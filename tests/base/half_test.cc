// 16-bit floats: every value there is, and the ties between them.
#include "base/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace tessera {
namespace {

bool is_nan16(uint32_t h, uint32_t infinity) {
  return (h & 0x7fffu) > infinity;
}

// The definition, in double arithmetic.
double f16_value(uint32_t h) {
  const double sign = (h & 0x8000u) != 0 ? -1 : 1;
  const int exponent = static_cast<int>((h >> 10) & 31u);
  const double mantissa = h & 0x3ffu;
  if (exponent == 31) return mantissa == 0 ? sign * INFINITY : NAN;
  return sign *
         (exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25));
}

TEST(Half, EveryF16HasTheDefinedValue) {
  for (uint32_t h = 0; h < 0x10000; ++h) {
    const float f = f16_to_f32(static_cast<uint16_t>(h));
    if (is_nan16(h, 0x7c00)) {
      ASSERT_TRUE(std::isnan(f)) << h;
    } else {
      ASSERT_EQ(double{f}, f16_value(h)) << h;
      ASSERT_EQ(std::signbit(f), h >= 0x8000) << h;
    }
  }
}

TEST(Half, EveryF16RoundTrips) {
  for (uint32_t h = 0; h < 0x10000; ++h) {
    const uint16_t back = f32_to_f16(f16_to_f32(static_cast<uint16_t>(h)));
    if (is_nan16(h, 0x7c00)) {
      ASSERT_TRUE(is_nan16(back, 0x7c00)) << h;
    } else {
      ASSERT_EQ(back, h);
    }
  }
}

TEST(Half, EveryBf16RoundTrips) {
  for (uint32_t b = 0; b < 0x10000; ++b) {
    const uint16_t back = f32_to_bf16(bf16_to_f32(static_cast<uint16_t>(b)));
    if (is_nan16(b, 0x7f80)) {
      ASSERT_TRUE(is_nan16(back, 0x7f80)) << b;
    } else {
      ASSERT_EQ(back, b);
    }
  }
}

// The middle between neighbours goes to the even code; a hair to either side goes to that side.
void check_ties(uint32_t largest_finite, float (*widen)(uint16_t), uint16_t (*narrow)(float)) {
  for (uint32_t code = 0; code < largest_finite; ++code) {
    const auto low = static_cast<uint16_t>(code);
    const auto high = static_cast<uint16_t>(code + 1);
    const auto middle = static_cast<float>((double{widen(low)} + widen(high)) / 2);
    const uint16_t even = (low & 1) == 0 ? low : high;
    ASSERT_EQ(narrow(middle), even) << code;
    ASSERT_EQ(narrow(-middle), even | 0x8000) << code;
    ASSERT_EQ(narrow(std::nextafter(middle, 0.0f)), low) << code;
    ASSERT_EQ(narrow(std::nextafter(middle, INFINITY)), high) << code;
  }
}

TEST(Half, F16TiesGoToEven) {
  check_ties(0x7bff, f16_to_f32, f32_to_f16);
}

TEST(Half, Bf16TiesGoToEven) {
  check_ties(0x7f7f, bf16_to_f32, f32_to_bf16);
}

TEST(Half, OverflowGivesInfinity) {
  EXPECT_EQ(f32_to_f16(65504.0f), 0x7bff);
  EXPECT_EQ(f32_to_f16(std::nextafter(65520.0f, 0.0f)), 0x7bff);
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7c00);
  EXPECT_EQ(f32_to_f16(-1e30f), 0xfc00);
  EXPECT_EQ(f32_to_bf16(std::numeric_limits<float>::max()), 0x7f80);
  EXPECT_EQ(f32_to_bf16(-std::numeric_limits<float>::infinity()), 0xff80);
}

TEST(Half, UnderflowGivesSignedZero) {
  EXPECT_EQ(f32_to_f16(0x1p-25f), 0);
  EXPECT_EQ(f32_to_f16(-0x1p-26f), 0x8000);
  EXPECT_EQ(f32_to_f16(std::numeric_limits<float>::denorm_min()), 0);
}

}  // namespace
}  // namespace tessera
