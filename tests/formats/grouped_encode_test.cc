// Encoders of grouped formats, against plain rounding; and scales that a matrix shares.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string_view>
#include <vector>

#include "base/half.h"
#include "formats/dynamic_map.h"
#include "formats/float8.h"
#include "formats/float_codebook.h"
#include "formats/grouped.h"
#include "formats/shared_scales.h"
#include "support/error_of.h"
#include "test_data.h"

namespace tessera {
namespace {

using testing::HasSubstr;

double squared_error(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += std::pow(double{a[i]} - double{b[i]}, 2);
  return sum;
}

std::vector<float> round_trip(const Format& format, const std::vector<float>& values,
                              const std::vector<float>& importance = {}) {
  std::vector<std::byte> bytes(format.row_bytes(values.size()));
  format.encode(values, bytes.data(), importance);
  std::vector<float> decoded(values.size());
  format.decode(bytes.data(), decoded);
  return decoded;
}

// The scale, and the zero, that the ends of a group's range give.
std::vector<float> plain_rounding(const GroupedKind& kind, const std::vector<float>& values) {
  const int top = (1 << kind.bits) - 1;
  std::vector<float> rounded(values.size());
  for (size_t first = 0; first < values.size(); first += static_cast<size_t>(kind.group)) {
    const auto x = std::span(values).subspan(first, static_cast<size_t>(kind.group));
    const auto [least, most] = std::ranges::minmax(x);
    float scale = std::max(-least, most) * 2 / static_cast<float>(top);
    auto zero = static_cast<float>(kind.zero_point);
    if (kind.offset == GroupedOffset::kZero) {
      scale = (std::max(most, 0.0f) - std::min(least, 0.0f)) / static_cast<float>(top);
      zero = std::round(-std::min(least, 0.0f) / scale);
    }
    scale = f16_to_f32(f32_to_f16(scale));
    for (size_t i = 0; i < x.size(); ++i) {
      const float code = std::clamp(std::round(x[i] / scale) + zero, 0.0f, static_cast<float>(top));
      rounded[first + i] = scale * (code - zero);
    }
  }
  return rounded;
}

TEST(GroupedEncode, IntegersLoseLessThanByTheEndsOfTheirRange) {
  for (const char* data : {"gaussian", "heavy"}) {
    const auto values = test_data(data, 64 * 128);
    for (const int bits : {2, 3, 4, 8}) {
      for (const auto offset : {GroupedOffset::kNone, GroupedOffset::kZero}) {
        GroupedKind kind = {.bits = bits, .offset = offset, .group = 128};
        if (offset == GroupedOffset::kNone) kind.zero_point = 1 << (bits - 1);
        const Format& format = grouped_format(kind);
        const double here = squared_error(values, round_trip(format, values));
        const double plain = squared_error(values, plain_rounding(kind, values));
        const bool clipping_helps = bits < 8 && std::string_view(data) == "gaussian";
        EXPECT_LT(here, (clipping_helps ? 0.9 : 1.0) * plain) << format.name << " " << data;
      }
    }
  }
}

TEST(GroupedEncode, ImportanceShiftsTheErrorToWhatMattersLess) {
  const auto values = test_data("gaussian", 32 * 128);
  std::vector<float> importance(values.size());
  for (size_t i = 0; i < importance.size(); ++i) importance[i] = i % 4 == 0 ? 100.0f : 1.0f;
  const auto weighted = [&](const std::vector<float>& decoded) {
    double sum = 0;
    for (size_t i = 0; i < values.size(); ++i)
      sum += double{importance[i]} * std::pow(double{values[i]} - double{decoded[i]}, 2);
    return sum;
  };
  for (const auto offset : {GroupedOffset::kNone, GroupedOffset::kZero}) {
    GroupedKind kind = {.bits = 3, .offset = offset, .group = 128};
    if (offset == GroupedOffset::kNone) kind.zero_point = 4;
    const Format& format = grouped_format(kind);
    EXPECT_LT(weighted(round_trip(format, values, importance)),
              0.97 * weighted(round_trip(format, values)))
        << format.name;
  }
}

// GPTQ's first version stores zero - 1, and some of its readers carry from one to the next.
TEST(GroupedEncode, ZerosAreNeverZero) {
  std::vector<float> values = test_data("gaussian", 128);
  for (float& value : values) value = std::fabs(value);
  const Format& format = grouped_format({.bits = 4, .offset = GroupedOffset::kZero, .group = 128});
  std::vector<std::byte> bytes(format.row_bytes(128));
  format.encode(values, bytes.data(), {});
  BlockParts parts;
  format.quantized->split(reinterpret_cast<const uint8_t*>(bytes.data()), parts);
  EXPECT_GE(parts.zero, 1);
}

TEST(GroupedEncode, BadValuesAreErrors) {
  std::vector<float> values(128, 1.0f);
  values[7] = std::nanf("");
  const Format& format = grouped_format({.bits = 4, .zero_point = 8, .group = 128});
  EXPECT_THAT(error_of([&] { round_trip(format, values); }), HasSubstr("element 7"));
  EXPECT_EQ(grouped_format({.bits = 5, .zero_point = 16, .group = 128}).encode, nullptr);
}

TEST(FloatCodebook, RoundsAsHardwareDoes) {
  const FloatCodebook e4m3(e4m3_values(), 8);
  for (int code = 0; code < 256; ++code) {
    const float value = e4m3_values()[code];
    if (std::isnan(value)) continue;
    EXPECT_EQ(e4m3_values()[e4m3.nearest(value)], value);
  }
  EXPECT_EQ(e4m3.nearest(1e9f), 0x7e);  // 448, not NaN
  EXPECT_EQ(e4m3.nearest(-1e9f), 0xfe);
  // Halfway between 1 (0x38), 1.125 (0x39) and 1.25 (0x3a): the even one.
  EXPECT_EQ(e4m3.nearest(1.0625f), 0x38);
  EXPECT_EQ(e4m3.nearest(1.1875f), 0x3a);
  EXPECT_EQ(e4m3.nearest(-1.1875f), 0xba);
}

TEST(DynamicMap, HasStepsWithinEachPowerOfTen) {
  const auto& both = signed_dynamic_map();
  EXPECT_TRUE(std::ranges::is_sorted(both));
  EXPECT_EQ(both[127], 0.0f);
  EXPECT_EQ(both[255], 1.0f);
  for (size_t i = 0; i < 127; ++i) EXPECT_EQ(both[i], -both[254 - i]) << i;
  EXPECT_NEAR(both[254], 0.9929687, 1e-6);  // the middle of the last 64th of 0.1 to 1
  const auto& positive = unsigned_dynamic_map();
  EXPECT_TRUE(std::ranges::is_sorted(positive));
  EXPECT_EQ(positive[0], 0.0f);
  EXPECT_EQ(positive[255], 1.0f);
  EXPECT_NEAR(positive[254], 0.9964844, 1e-6);  // of the last 128th
  EXPECT_NEAR(positive[1], 3.25e-7, 1e-12);     // of the first half of the lowest power
}

constexpr uint64_t kRows = 6, kColumns = 512;

struct Shared {
  explicit Shared(const GroupedKind& kind)
      : format(grouped_format(kind)), values(test_data("gaussian", kRows * kColumns)) {
    const uint64_t row_bytes = format.row_bytes(kColumns);
    bytes.resize(kRows * row_bytes);
    decoded.resize(values.size());
    write_shared_scales(format, values, kColumns, bytes.data());
    for (uint64_t row = 0; row < kRows; ++row)
      format.encode(row_of(values, row), bytes.data() + row * row_bytes, {});
    format.decode(bytes.data(), decoded);
  }
  static std::span<const float> row_of(const std::vector<float>& all, uint64_t row) {
    return std::span(all).subspan(row * kColumns, kColumns);
  }
  std::vector<float> scales() const {  // of all blocks
    std::vector<float> all;
    BlockParts parts;
    for (size_t at = 0; at < bytes.size(); at += format.block_bytes) {
      format.quantized->split(reinterpret_cast<const uint8_t*>(bytes.data()) + at, parts);
      all.push_back(parts.scale);
    }
    return all;
  }

  const Format& format;
  std::vector<float> values, decoded;
  std::vector<std::byte> bytes;
};

float largest(std::span<const float> values) {
  float most = 0;
  for (const float value : values) most = std::max(most, std::fabs(value));
  return most;
}

TEST(SharedScales, OfARow) {
  const Shared shared(
      {.bits = 8, .f32_scales = true, .zero_point = 128, .group = 256, .scope = ScaleScope::kRow});
  const auto scales = shared.scales();
  for (uint64_t row = 0; row < kRows; ++row) {
    EXPECT_EQ(scales[2 * row], scales[2 * row + 1]);
    const float wanted = largest(Shared::row_of(shared.values, row)) / 127;
    EXPECT_GE(scales[2 * row], wanted);
    EXPECT_LE(scales[2 * row], wanted * 1.01f);
    EXPECT_EQ(bf16_to_f32(f32_to_bf16(scales[2 * row])), scales[2 * row]);
  }
  for (size_t i = 0; i < shared.values.size(); ++i)
    EXPECT_NEAR(shared.decoded[i], shared.values[i], 0.5001f * scales[i / 256]);
}

TEST(SharedScales, OfAMatrixIsTheMeanMagnitude) {
  const Shared shared(
      {.bits = 2, .f32_scales = true, .zero_point = 1, .group = 256, .scope = ScaleScope::kMatrix});
  double mean = 0;
  for (const float value : shared.values) mean += std::fabs(value);
  mean /= static_cast<double>(shared.values.size());
  const float scale = shared.scales().front();
  EXPECT_NEAR(scale, mean, 0.005 * mean);
  for (size_t i = 0; i < shared.values.size(); ++i) {
    const float code = std::clamp(std::round(shared.values[i] / scale), -1.0f, 1.0f);
    ASSERT_EQ(shared.decoded[i], scale * code);
  }
}

TEST(SharedScales, DoublyQuantized) {
  const Shared nested(
      {.codes = GroupedCodes::kNF4, .f32_scales = true, .group = 64, .scope = ScaleScope::kNested});
  const auto scales = nested.scales();
  for (size_t g = 0; g < scales.size(); ++g) {
    const float absmax = largest(std::span(nested.values).subspan(64 * g, 64));
    EXPECT_NEAR(scales[g], absmax, 0.02f * absmax);  // a hundredth of their spread
  }
  // Less is lost than by the scales' rounding alone.
  const double single = squared_error(
      nested.values,
      round_trip(grouped_format({.codes = GroupedCodes::kNF4, .f32_scales = true, .group = 64}),
                 nested.values));
  EXPECT_LT(squared_error(nested.values, nested.decoded), 1.02 * single);
}

TEST(SharedScales, OfNvfp4) {
  const GroupedKind kind = {
      .codes = GroupedCodes::kE2M1, .f32_scales = true, .group = 16, .scope = ScaleScope::kE4M3};
  const Shared shared(kind);
  const ScaleNote note = scale_note(kind, shared.bytes.data());
  EXPECT_FLOAT_EQ(note.common, 448 * 6 / largest(shared.values));
  EXPECT_EQ(shared.scales().front(), e4m3_values()[note.code] / note.common);
  EXPECT_LT(std::sqrt(squared_error(shared.values, shared.decoded) /
                      squared_error(shared.values, std::vector<float>(shared.values.size()))),
            0.11);
}

}  // namespace
}  // namespace tessera
