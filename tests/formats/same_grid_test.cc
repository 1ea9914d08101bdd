// Code for code from formats of foreign layouts to those of GGUF files.
#include "formats/same_grid.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "formats/grouped.h"

namespace tessera {
namespace {

constexpr int kColumns = 512;

std::vector<std::byte> random_row(const GroupedKind& kind, float step, int codes, float offset = 0,
                                  int lowest = 0) {
  std::mt19937 random(7);
  std::vector<std::byte> row(grouped_format(kind).row_bytes(kColumns));
  for (size_t at = 0; at < row.size(); at += kind.block_bytes()) {
    std::vector<uint8_t> block(static_cast<size_t>(kind.group));
    for (uint8_t& code : block) code = static_cast<uint8_t>(lowest + random() % codes);
    write_grouped_block(kind, step, offset, block, &row[at]);
  }
  return row;
}

struct Case {
  GroupedKind kind;
  const Format* to;
  float step;
  int codes;
  float offset = 0;
  bool exact = true;
  int lowest = 0;
};

class SameGrid : public testing::TestWithParam<Case> {};

TEST_P(SameGrid, KeepsEveryCode) {
  const auto& [kind, to, step, codes, offset, exact, lowest] = GetParam();
  const Format& from = grouped_format(kind);
  const auto row = random_row(kind, step, codes, offset, lowest);
  std::vector<std::byte> copied(to->row_bytes(kColumns));
  ASSERT_TRUE(may_share_grid(from, *to));
  const auto rounding = copy_codes(from, row.data(), kColumns, *to, copied.data());
  ASSERT_TRUE(rounding);
  EXPECT_EQ(*rounding == 0, exact) << *rounding;
  std::vector<float> expected(kColumns), found(kColumns);
  from.decode(row.data(), expected);
  to->decode(copied.data(), found);
  for (int i = 0; i < kColumns; ++i)
    EXPECT_LE(std::abs(found[i] - expected[i]), *rounding * std::abs(step) * 1.01f) << i;
}

using enum GroupedOffset;
INSTANTIATE_TEST_SUITE_P(
    All, SameGrid,
    testing::Values(
        Case{{.bits = 4, .zero_point = 8, .group = 128}, &kQ4_0, 0.0625f, 16},
        Case{{.bits = 4, .f32_scales = true, .zero_point = 8, .group = 32},
             &kQ4_0,
             -0.01f,
             16,
             0,
             false},
        Case{{.bits = 4, .offset = kZero, .group = 128}, &kQ4_0, 0.0625f, 16, 8},
        Case{{.bits = 4, .offset = kZero, .group = 128}, &kQ4_1, 0.0625f, 16, 5},
        Case{{.bits = 4, .f32_scales = true, .offset = kMin, .group = 64},
             &kQ4_1,
             0.03125f,
             16,
             -0.3f,
             false},
        Case{{.bits = 2, .zero_point = 1, .group = 32}, &kQ4_0, 0.5f, 4},
        Case{{.bits = 8, .f32_scales = true, .zero_point = 128, .group = 256},
             &kQ8_0,
             0.25f,
             255,
             0,
             true,
             1},
        Case{{.bits = 2, .f32_scales = true, .zero_point = 1, .group = 256}, &kTQ2_0, 0.75f, 3},
        Case{{.codes = GroupedCodes::kE2M1, .group = 32}, &kMXFP4, 0.125f, 16}));

TEST(SameGridBounds, CodesThatDoNotFitAreNotKept) {
  const auto fails = [](const GroupedKind& kind, const Format& to, float step, int codes,
                        float offset = 0) {
    const auto row = random_row(kind, step, codes, offset);
    std::vector<std::byte> copied(to.row_bytes(kColumns));
    return !copy_codes(grouped_format(kind), row.data(), kColumns, to, copied.data());
  };
  EXPECT_TRUE(fails({.bits = 8, .zero_point = 128, .group = 32}, kQ4_0, 1, 256));
  EXPECT_TRUE(
      fails({.bits = 4, .offset = kZero, .group = 32}, kQ4_0, 1, 16, 3));  // 12 steps above zero
  EXPECT_TRUE(fails({.bits = 4, .offset = kMin, .group = 32}, kQ4_0, 1, 16, 1));
  EXPECT_TRUE(fails({.codes = GroupedCodes::kE2M1, .group = 32}, kMXFP4, 0.3f, 16));
  EXPECT_TRUE(fails({.codes = GroupedCodes::kNF4, .group = 32}, kMXFP4, 1, 16));
  EXPECT_TRUE(
      fails({.bits = 4, .f32_scales = true, .zero_point = 8, .group = 32}, kQ4_0, 1e-9f, 16));
  EXPECT_TRUE(
      fails({.bits = 4, .zero_point = 8, .group = 16}, kQ4_0, 1, 16));  // a block has two scales
}

}  // namespace
}  // namespace tessera
