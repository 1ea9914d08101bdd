// Which compute layout the CPU chooses for what a format's blocks are made of.
#include "backend/cpu/layout.h"

#include <gtest/gtest.h>

namespace tessera::cpu {
namespace {

constexpr int8_t kLevels[16] = {-8, -4, -2, -1, 0, 1, 2, 4, 8};

std::optional<Layout> layout_of(const QuantizedBlock& block, uint32_t block_elements) {
  const Format format = {
      .name = "test", .block_elements = block_elements, .block_bytes = 1, .quantized = &block};
  return find_layout(format);
}

TEST(Layout, KeepsCodesAsNarrowAsAKernelTakesThem) {
  const auto codes = [](int bits, int group, BlockScaling scaling, uint32_t elements) {
    const auto layout =
        layout_of({.code_bits = bits, .group = group, .scaling = scaling}, elements);
    return layout ? std::optional(layout->codes) : std::nullopt;
  };
  EXPECT_EQ(codes(4, 32, BlockScaling::kF16, 32), CodeKind::k4);
  EXPECT_EQ(codes(5, 32, BlockScaling::kE8M0, 32), CodeKind::k5);
  EXPECT_EQ(codes(3, 16, BlockScaling::kTwoLevel, 256), CodeKind::k3);
  EXPECT_EQ(codes(3, 32, BlockScaling::kF16, 32), CodeKind::k3);  // two scales of 16 that are one
  EXPECT_EQ(codes(3, 32, BlockScaling::kTwoLevel, 256), CodeKind::k4);
  EXPECT_EQ(codes(4, 128, BlockScaling::kF16, 128), CodeKind::k4);
  EXPECT_EQ(codes(2, 256, BlockScaling::kF32, 256), CodeKind::k2);
  EXPECT_EQ(codes(8, 64, BlockScaling::kF32, 64), CodeKind::k8);
  EXPECT_EQ(codes(6, 32, BlockScaling::kTwoLevel, 256), CodeKind::k8);
  EXPECT_EQ(codes(8, 16, BlockScaling::kTwoLevel, 256), std::nullopt);
}

TEST(Layout, TurnsLevelsIntoByteCodes) {
  const auto layout = layout_of(
      {.code_bits = 4, .levels = kLevels, .group = 32, .scaling = BlockScaling::kF16}, 32);
  ASSERT_TRUE(layout);
  ASSERT_EQ(layout->lookup, Lookup::kTable);
  for (int i = 0; i < 16; ++i) EXPECT_EQ(layout->table[i] - layout->zero_point, kLevels[i]);
}

TEST(Layout, TurnsValuesIntoLevelsOf8BitsWhereTheyAreSmallIntegersOfAPowerOfTwo) {
  float values[16];
  for (int i = 0; i < 16; ++i) values[i] = 0.375f * static_cast<float>(i - 7);
  const auto layout =
      layout_of({.code_bits = 4, .values = values, .group = 64, .scaling = BlockScaling::kF16}, 64);
  ASSERT_TRUE(layout);
  ASSERT_EQ(layout->lookup, Lookup::kTable);
  for (int i = 0; i < 16; ++i) {
    EXPECT_EQ(static_cast<float>(layout->table[i] - kLevelZero) * layout->unit, values[i]);
  }
}

TEST(Layout, TurnsOtherValuesIntoLevelsOf16Bits) {
  const float values[16] = {-1.0f, -0.7f, -0.5f, -0.4f, -0.3f, -0.2f, -0.1f, 0.0f,
                            0.08f, 0.16f, 0.25f, 0.34f, 0.44f, 0.56f, 0.72f, 1.0f};
  const auto layout =
      layout_of({.code_bits = 4, .values = values, .group = 64, .scaling = BlockScaling::kF32}, 64);
  ASSERT_TRUE(layout);
  ASSERT_EQ(layout->lookup, Lookup::kWide);
  for (int i = 0; i < 16; ++i) {
    const int level = 256 * (layout->table[i] - kLevelZero) + layout->low_table[i];
    EXPECT_NEAR(static_cast<float>(level) * layout->unit, values[i], 0x1p-16f);
  }
}

// Better none than one that gives other values.
TEST(Layout, IsNoneForPartsThatNoKernelTakes) {
  const QuantizedBlock fits = {.code_bits = 4, .group = 32, .scaling = BlockScaling::kF16};
  EXPECT_TRUE(layout_of(fits, 32));
  EXPECT_FALSE(layout_of(fits, 64));
  QuantizedBlock block = fits;
  block.group = 16;
  EXPECT_FALSE(layout_of(block, 32));
  block = fits;
  block.has_min = true;
  EXPECT_TRUE(layout_of(block, 32));
  block.zero_point = 8;
  EXPECT_FALSE(layout_of(block, 32));
  block.zero_point = 0;
  block.has_zero = true;
  EXPECT_FALSE(layout_of(block, 32));  // beside a min
  block.has_min = false;
  EXPECT_TRUE(layout_of(block, 32));
  block = fits;
  block.has_min = true;
  block.scaling = BlockScaling::kE8M0;
  EXPECT_FALSE(layout_of(block, 32));
  block = fits;
  block.has_min = true;
  block.levels = kLevels;
  EXPECT_FALSE(layout_of(block, 32));
  block = {.code_bits = 2,
           .group = 16,
           .scaling = BlockScaling::kTwoLevel,
           .has_min = true,
           .scale_bits = 4};
  EXPECT_TRUE(layout_of(block, 256));
  block.scale_bits = 6;
  EXPECT_FALSE(layout_of(block, 256));
  EXPECT_FALSE(find_layout(kF16));
}

}  // namespace
}  // namespace tessera::cpu
