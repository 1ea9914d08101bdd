// Encoding: as precise as ggml's reference encoder or better, and well defined on odd input.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "base/error.h"
#include "formats/format.h"
#include "test_data.h"

namespace tessera {
namespace {

std::vector<const Format*> block_formats() {
  std::vector<const Format*> formats;
  for (const Format* known : all_formats()) {
    const Format& format = *known;
    if (format.encode != nullptr && format.block_elements > 1) formats.push_back(&format);
  }
  return formats;
}

std::vector<std::byte> encode(const Format& format, const std::vector<float>& values,
                              const std::vector<float>& importance = {}) {
  std::vector<std::byte> bytes(format.row_bytes(values.size()));
  format.encode(values, bytes.data(), importance);
  return bytes;
}

std::vector<float> round_trip(const Format& format, const std::vector<float>& values,
                              const std::vector<float>& importance = {}) {
  const auto bytes = encode(format, values, importance);
  std::vector<float> decoded(values.size());
  format.decode(bytes.data(), decoded);
  return decoded;
}

double rmse(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
  return std::sqrt(sum / static_cast<double>(a.size()));
}

void expect_finite(const Format& format, const std::vector<float>& values) {
  for (const float v : values) ASSERT_TRUE(std::isfinite(v)) << format.name;
}

TEST(Encode, ErrorIsNoLargerThanThatOfGgml) {
  struct Row {
    const char* format;
    double gaussian, heavy;
  };
  const Row rows[] = {
#include "ggml_rmse.inc"
  };
  ASSERT_EQ(std::size(rows), block_formats().size());
  for (const Row& row : rows) {
    const Format& format = require_format(row.format);
    const auto gaussian = test_data("gaussian", 64 * 256);
    EXPECT_LE(rmse(gaussian, round_trip(format, gaussian)), 1.02 * row.gaussian) << row.format;
    const auto heavy = test_data("heavy", 64 * 256);
    EXPECT_LE(rmse(heavy, round_trip(format, heavy)), 1.02 * row.heavy) << row.format;
  }
}

TEST(Encode, ImportanceShiftsTheErrorToWhatMattersLess) {
  const auto values = test_data("gaussian", 16 * 256);
  std::vector<float> importance(values.size());
  for (size_t i = 0; i < importance.size(); ++i) importance[i] = i % 4 == 0 ? 100.0f : 1.0f;
  const auto weighted_error = [&](const std::vector<float>& decoded) {
    double sum = 0;
    for (size_t i = 0; i < values.size(); ++i)
      sum += importance[i] * std::pow(double{values[i]} - decoded[i], 2);
    return sum;
  };
  for (const Format* format : block_formats()) {
    const double plain = weighted_error(round_trip(*format, values));
    const double weighted = weighted_error(round_trip(*format, values, importance));
    if (format == &kMXFP4 || format == &kTQ1_0 || format == &kTQ2_0 || format == &kQ1_0) {
      // Only powers of two to choose from, or one scale for many elements.
      EXPECT_LE(weighted, plain) << format->name;
    } else {
      EXPECT_LT(weighted, 0.95 * plain) << format->name;
    }
  }
}

TEST(Encode, ImportanceMayHaveAnyScale) {
  const auto values = test_data("gaussian", 1024);
  for (const Format* format : block_formats()) {
    const auto expected = encode(*format, values);
    EXPECT_EQ(encode(*format, values, std::vector<float>(values.size(), 0x1p120f)), expected)
        << format->name;
    EXPECT_EQ(encode(*format, values, std::vector<float>(values.size(), 0x1p-120f)), expected);
    EXPECT_EQ(encode(*format, values, std::vector<float>(values.size(), 0.0f)), expected);
  }
}

// What was encoded once loses next to nothing more: its values are on a grid, which the search
// finds again except in a few blocks with a minimum that do not use the ends of their range.
TEST(Encode, DecodedValuesEncodeToThemselves) {
  for (const char* kind : {"gaussian", "heavy"}) {
    const auto values = test_data(kind, 64 * 256);
    for (const Format* format : {&kQ4_0, &kQ4_1, &kQ5_0, &kQ5_1, &kQ8_0, &kIQ4_NL, &kMXFP4, &kNVFP4,
                                 &kTQ1_0, &kTQ2_0, &kQ1_0, &kQ2_0}) {
      const auto once = round_trip(*format, values);
      EXPECT_LT(rmse(once, round_trip(*format, once)), 0.03 * rmse(values, once))
          << format->name << " " << kind;
    }
  }
}

// A model that was trained with ternary weights loses nothing.
TEST(Encode, TernaryWeightsAreKeptExactly) {
  Lcg random(3);
  std::vector<float> values(4 * 256);
  for (size_t i = 0; i < values.size(); ++i) {
    const float scale = 0.37109375f * static_cast<float>(1 + i / 256);  // an f16
    values[i] = scale * static_cast<float>(static_cast<int>(random.bits24() >> 16) % 3 - 1);
  }
  EXPECT_EQ(round_trip(kTQ1_0, values), values);
  EXPECT_EQ(round_trip(kTQ2_0, values), values);
  EXPECT_EQ(round_trip(kQ2_0, values), values);
}

TEST(Encode, ZerosStayZeros) {
  const std::vector<float> zeros(512, 0.0f);
  for (const Format* format : block_formats())
    EXPECT_EQ(round_trip(*format, zeros), zeros) << format->name;
}

TEST(Encode, ConstantBlocksAreKeptClosely) {
  for (const float value : {1.0f, -1.0f, 0.37f, -0.05f}) {
    const std::vector<float> constant(512, value);
    for (const Format* format : block_formats()) {
      const double part = format == &kMXFP4 ? 0.2 : format == &kNVFP4 ? 0.06 : 0.002;
      const double tolerance = part * std::fabs(value);
      EXPECT_LE(rmse(constant, round_trip(*format, constant)), tolerance)
          << format->name << " " << value;
    }
  }
}

TEST(Encode, OneOutlierInABlock) {
  std::vector<float> values(512, 0.0f);
  values[5] = -3.0f;
  values[300] = 1000.0f;
  for (const Format* format : block_formats()) {
    if (format == &kQ1_0) continue;  // it has one magnitude
    const auto decoded = round_trip(*format, values);
    EXPECT_NEAR(decoded[5], -3.0f, 0.25f) << format->name;
    EXPECT_NEAR(decoded[300], 1000.0f, 30.0f) << format->name;
  }
}

TEST(Encode, HugeValuesSaturateAndStayFinite) {
  for (const float scale : {1e4f, 1e6f, 1e20f, std::numeric_limits<float>::max() / 7}) {
    auto values = test_data("gaussian", 512);
    for (float& v : values) v = std::clamp(v * 50, -6.0f, 6.0f) * scale;
    for (const Format* known : all_formats()) {
      const Format& format = *known;
      if (format.encode != nullptr) expect_finite(format, round_trip(format, values));
    }
  }
  const std::vector<float> largest(512, std::numeric_limits<float>::max());
  for (const Format* known : all_formats()) {
    const Format& format = *known;
    if (format.encode == nullptr) continue;
    const auto decoded = round_trip(format, largest);
    expect_finite(format, decoded);
    const float least = &format == &kNVFP4 ? 2688.0f : 6e4f;  // it has no f16 scale
    for (const float v : decoded) EXPECT_GE(v, least) << format.name;
  }
}

TEST(Encode, TinyValuesNeverGrow) {
  for (const float scale : {1e-3f, 1e-5f, 1e-7f, 1e-12f, 1e-30f, 1e-42f}) {
    auto values = test_data("gaussian", 512);
    for (float& v : values) v *= 50 * scale;
    const float largest = std::fabs(*std::ranges::max_element(
        values, [](float a, float b) { return std::fabs(a) < std::fabs(b); }));
    const std::vector<float> zeros(values.size(), 0.0f);
    for (const Format* format : block_formats()) {
      const auto decoded = round_trip(*format, values);
      expect_finite(*format, decoded);
      for (const float v : decoded)
        EXPECT_LE(std::fabs(v), 1.5f * largest) << format->name << " " << scale;
      EXPECT_LE(rmse(values, decoded), rmse(values, zeros)) << format->name << " " << scale;
    }
  }
}

TEST(Encode, NanAndInfinityAreErrorsOfTheBlockFormats) {
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    std::vector<float> values(512, 1.0f);
    values[300] = bad;
    for (const Format* format : block_formats()) {
      try {
        encode(*format, values);
        FAIL() << format->name << " accepted " << bad;
      } catch (const Error& error) {
        EXPECT_THAT(error.what(), testing::HasSubstr(std::string(format->name)));
        EXPECT_THAT(error.what(), testing::HasSubstr("300"));
      }
    }
  }
}

TEST(Encode, BadImportanceIsAnError) {
  const std::vector<float> values(256, 1.0f);
  for (const float bad : {-1.0f, NAN, INFINITY}) {
    std::vector<float> importance(256, 1.0f);
    importance[17] = bad;
    EXPECT_THROW(encode(kQ4_K, values, importance), Error);
  }
  EXPECT_THROW(encode(kQ4_K, values, std::vector<float>(255, 1.0f)), Error);
}

TEST(Encode, PartialBlocksAreAnError) {
  std::vector<std::byte> bytes(1000);
  const std::vector<float> values(40, 1.0f);
  for (const Format* format : block_formats()) {
    EXPECT_THROW(format->encode(values, bytes.data(), {}), Error) << format->name;
  }
}

TEST(Encode, Q8_0NeverWritesMinus128) {
  const auto bytes = encode(kQ8_0, test_data("heavy", 4096));
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i % 34 >= 2) {
      EXPECT_NE(bytes[i], std::byte{0x80});
    }
  }
}

TEST(Encode, FloatFormatsKeepWhatTheyHaveCodesFor) {
  const float max = std::numeric_limits<float>::max();
  const std::vector<float> values{1.0f, -0.0f, INFINITY, -INFINITY, max, -max};
  EXPECT_EQ(round_trip(kF32, values), values);
  EXPECT_EQ(round_trip(kF16, values),
            (std::vector<float>{1.0f, -0.0f, INFINITY, -INFINITY, 65504.0f, -65504.0f}));
  const float bf16_max = 0x1.fep127f;
  EXPECT_EQ(round_trip(kBF16, values),
            (std::vector<float>{1.0f, -0.0f, INFINITY, -INFINITY, bf16_max, -bf16_max}));
  for (const Format* format : {&kF32, &kF16, &kBF16}) {
    EXPECT_TRUE(std::isnan(round_trip(*format, {NAN})[0])) << format->name;
  }
}

}  // namespace
}  // namespace tessera
