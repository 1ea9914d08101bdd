// Grouped formats: what their blocks decode to, by formulas written out here.
#include "formats/grouped.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "support/error_of.h"
#include "test_data.h"

namespace tessera {
namespace {

using testing::HasSubstr;

constexpr int kGroups[] = {16, 32, 64, 128, 256};

std::vector<uint8_t> random_codes(int count, int bits, uint64_t seed) {
  Lcg random(seed);
  std::vector<uint8_t> codes(static_cast<size_t>(count));
  for (uint8_t& code : codes) code = static_cast<uint8_t>(random.bits24() >> (24 - bits));
  return codes;
}

std::vector<float> decode_block(const GroupedKind& kind, float scale, float offset,
                                const std::vector<uint8_t>& codes) {
  std::vector<std::byte> block(kind.block_bytes());
  write_grouped_block(kind, scale, offset, codes, block.data());
  std::vector<float> values(codes.size());
  grouped_format(kind).decode(block.data(), values);
  return values;
}

TEST(Grouped, IntegersAreScaledFromTheirZero) {
  for (const int group : kGroups) {
    for (int bits = 1; bits <= 8; ++bits) {
      for (const bool f32 : {false, true}) {
        const float scale = f32 ? 0.012345678f : 0.01234436f;  // the second is an f16
        const auto codes = random_codes(group, bits, 1);
        GroupedKind kind = {.bits = bits, .f32_scales = f32, .group = group};
        kind.zero_point = (1 << bits) / 2;
        const auto symmetric = decode_block(kind, scale, 0, codes);
        kind.zero_point = 0;
        kind.offset = GroupedOffset::kZero;
        const int zero = (1 << bits) - 1;
        const auto with_zero = decode_block(kind, scale, static_cast<float>(zero), codes);
        kind.offset = GroupedOffset::kMin;
        const float min = f32 ? -0.3456789f : -0.345703125f;
        const auto with_min = decode_block(kind, scale, min, codes);
        for (size_t i = 0; i < codes.size(); ++i) {
          const int code = codes[i];
          ASSERT_EQ(symmetric[i], scale * static_cast<float>(code - (1 << bits) / 2));
          ASSERT_EQ(with_zero[i], scale * static_cast<float>(code - zero));
          const float product = scale * static_cast<float>(code);
          ASSERT_EQ(with_min[i], product + min);
        }
      }
    }
  }
}

TEST(Grouped, BlocksFollowOneAnother) {
  const GroupedKind kind = {.bits = 4, .offset = GroupedOffset::kZero, .group = 64};
  const Format& format = grouped_format(kind);
  std::vector<std::byte> row(3 * kind.block_bytes());
  ASSERT_EQ(format.row_bytes(192), row.size());
  for (size_t b = 0; b < 3; ++b) {
    const std::vector<uint8_t> codes(64, static_cast<uint8_t>(b + 4));
    write_grouped_block(kind, 1.0f, 3.0f, codes, row.data() + b * kind.block_bytes());
  }
  std::vector<float> values(192);
  format.decode(row.data(), values);
  for (size_t i = 0; i < values.size(); ++i) EXPECT_EQ(values[i], static_cast<float>(i / 64 + 1));
}

std::vector<float> all_values(GroupedCodes codes, int count) {
  const GroupedKind kind = {.codes = codes, .f32_scales = true, .group = count};
  std::vector<uint8_t> all(static_cast<size_t>(count));
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<uint8_t>(i);
  return decode_block(kind, 1.0f, 0, all);
}

TEST(Grouped, Nf4IsTheQuantilesOfANormalDistribution) {
  const auto values = all_values(GroupedCodes::kNF4, 16);
  EXPECT_EQ(values.front(), -1.0f);
  EXPECT_EQ(values[7], 0.0f);
  EXPECT_EQ(values.back(), 1.0f);
  EXPECT_TRUE(std::ranges::is_sorted(values));
  // QLoRA, appendix E: quantiles of 8 negative and 9 positive steps from an offset of
  // (1 - 1/32 + 1 - 1/30) / 2 to the middle, over the outermost.
  const auto quantile = [](double p) {  // by bisection
    double low = -5, high = 5;
    for (int i = 0; i < 100; ++i) {
      const double middle = (low + high) / 2;
      (std::erfc(-middle / std::sqrt(2.0)) / 2 < p ? low : high) = middle;
    }
    return low;
  };
  const double outermost = (1 - 1.0 / 30 + 1 - 1.0 / 32) / 2;
  for (int i = 0; i < 8; ++i) {
    const double positive = outermost + (0.5 - outermost) * i / 8;
    EXPECT_NEAR(values[static_cast<size_t>(15 - i)], quantile(positive) / quantile(outermost),
                1e-6);
    if (i == 7) break;
    const double negative = outermost + (0.5 - outermost) * i / 7;
    EXPECT_NEAR(values[static_cast<size_t>(i)], -quantile(negative) / quantile(outermost), 1e-6);
  }
}

TEST(Grouped, Fp4IsTheTableOfBitsandbytes) {
  const float twelfths[] = {0, 0.0625f, 8, 12, 4, 6, 2, 3};
  const auto values = all_values(GroupedCodes::kFP4, 16);
  for (size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(values[i], twelfths[i] / 12);
    EXPECT_EQ(values[i + 8], -twelfths[i] / 12);
  }
}

TEST(Grouped, E2m1CountsInHalves) {
  EXPECT_EQ(
      all_values(GroupedCodes::kE2M1, 16),
      (std::vector<float>{0, 0.5f, 1, 1.5f, 2, 3, 4, 6, 0, -0.5f, -1, -1.5f, -2, -3, -4, -6}));
}

// By the definition of a float: sign, exponent, mantissa.
float float8(int code, int mantissa_bits, int bias) {
  const int exponent = (code & 127) >> mantissa_bits, mantissa = code & ((1 << mantissa_bits) - 1);
  const float fraction = std::ldexp(static_cast<float>(mantissa), -mantissa_bits);
  const float magnitude =
      exponent == 0 ? std::ldexp(fraction, 1 - bias) : std::ldexp(1 + fraction, exponent - bias);
  return code < 128 ? magnitude : -magnitude;
}

TEST(Grouped, FloatsOf8Bits) {
  const auto e4m3 = all_values(GroupedCodes::kE4M3, 256);
  const auto e5m2 = all_values(GroupedCodes::kE5M2, 256);
  for (int code = 0; code < 256; ++code) {
    const auto i = static_cast<size_t>(code);
    if ((code & 127) == 127) {
      EXPECT_TRUE(std::isnan(e4m3[i]));
    } else {
      EXPECT_EQ(e4m3[i], float8(code, 3, 7)) << code;
    }
    if ((code & 127) > 0x7c) {
      EXPECT_TRUE(std::isnan(e5m2[i]));
    } else if ((code & 127) == 0x7c) {
      EXPECT_EQ(e5m2[i], code < 128 ? INFINITY : -INFINITY);
    } else {
      EXPECT_EQ(e5m2[i], float8(code, 2, 15)) << code;
    }
  }
  EXPECT_EQ(e4m3[0x7e], 448.0f);
  EXPECT_EQ(e5m2[0x7b], 57344.0f);
}

TEST(Grouped, AKindHasOneFormatWithANameThatSaysWhatItIs) {
  const GroupedKind kind = {.bits = 4, .offset = GroupedOffset::kZero, .group = 128};
  EXPECT_EQ(&grouped_format(kind), &grouped_format(kind));
  EXPECT_EQ(grouped_format(kind).name, "UINT4/128");
  EXPECT_EQ(grouped_format(kind).block_elements, 128u);
  EXPECT_EQ(grouped_format(kind).block_bytes, 2u + 1 + 128);
  EXPECT_EQ(grouped_format({.bits = 3, .zero_point = 4, .group = 32}).name, "INT3/32");
  EXPECT_EQ(grouped_format({.codes = GroupedCodes::kNF4, .group = 64}).name, "NF4/64");
  EXPECT_EQ(grouped_format({.codes = GroupedCodes::kE4M3, .group = 128}).name, "E4M3/128");
  EXPECT_NE(&grouped_format({.group = 64}), &grouped_format({.f32_scales = true, .group = 64}));
  EXPECT_TRUE(grouped_format(kind).supported());
  EXPECT_EQ(find_format("UINT4/128"), nullptr);  // no file has it
}

TEST(Grouped, RefusesKindsThatItCannotHold) {
  EXPECT_THAT(error_of([] { grouped_format({.group = 48}); }), HasSubstr("48"));
  EXPECT_THAT(error_of([] { grouped_format({.bits = 9}); }), HasSubstr("9 bits"));
  EXPECT_THAT(error_of([] { grouped_format({.bits = 0}); }), HasSubstr("0 bits"));
  EXPECT_THAT(error_of([] { grouped_format({.zero_point = 256}); }), HasSubstr("256"));
  EXPECT_THROW(grouped_format({.offset = GroupedOffset::kMin, .zero_point = 8}), Error);
  EXPECT_THROW(grouped_format({.codes = GroupedCodes::kNF4, .offset = GroupedOffset::kZero}),
               Error);
}

TEST(Grouped, FitsGroupsIntoThoseOfTheFileAndTheColumns) {
  EXPECT_EQ(fitting_group(2048, 128), 128);
  EXPECT_EQ(fitting_group(2048, 0), 256);  // a scale for a whole row
  EXPECT_EQ(fitting_group(2048, 1024), 256);
  EXPECT_EQ(fitting_group(576, 64), 64);
  EXPECT_EQ(fitting_group(576, 0), 64);
  EXPECT_EQ(fitting_group(576, 96), 32);
  EXPECT_EQ(fitting_group(48, 48), 16);
  EXPECT_EQ(fitting_group(2048, 8), 0);
  EXPECT_EQ(fitting_group(100, 0), 0);
}

// Codes come from files: a byte beyond the codes' bits must not index beyond a table.
TEST(Grouped, AnyByteDecodes) {
  for (const GroupedCodes codes :
       {GroupedCodes::kInteger, GroupedCodes::kNF4, GroupedCodes::kE2M1, GroupedCodes::kE5M2}) {
    const Format& format = grouped_format({.codes = codes, .group = 32});
    const std::vector<std::byte> block(format.block_bytes, std::byte{0xfb});
    std::vector<float> values(32);
    format.decode(block.data(), values);
  }
}

}  // namespace
}  // namespace tessera
