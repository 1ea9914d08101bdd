// IQ2_XXS, IQ2_XS and IQ2_S: 256 elements, of which 8 are one of 256 to 1024 points of magnitudes
// 8, 25 and 43, and signs.  x = d * (2 * scale + 1) / 8 * point; scales have 4 bits
//
//   IQ2_XXS, 66 bytes, 8 groups of 32: f16 d; for each group 4 bytes of points, then 32 bits:
//     7 signs for each point from the lowest bits up, the eighth makes their number even; 4 bits of
//     scale.
//   IQ2_XS, 74 bytes, 16 groups of 16: f16 d; 32 words of 16 bits: 9 bits of a point, 7 signs;
//     8 bytes: scales, two to a byte.
//   IQ2_S, 82 bytes, 16 groups of 16: f16 d; 32 bytes: the low 8 bits of points; 32 bytes: their
//     signs; 8 bytes: two high bits for each of 4 points, from the lowest up; 8 bytes: scales, two
//     to a byte.
#include "formats/bit_fields.h"
#include "formats/format.h"
#include "formats/iq_grids.h"

namespace tessera {
namespace {

constexpr int8_t kLevels[8] = {8, 25, 43, 0, -8, -25, -43, 0};
constexpr float kUnit = 0.125f;
constexpr int kPoints = 32;

int8_t scale_of(uint32_t stored) {
  return static_cast<int8_t>(2 * (stored & 15) + 1);
}

void split_scales(const uint8_t* bytes, BlockParts& parts) {
  for (int g = 0; g < 16; ++g) parts.scales[g] = scale_of(bytes[g / 2] >> (g % 2 * 4));
}

void split_xxs(const uint8_t* block, BlockParts& parts) {
  parts.d = load_u16(block);
  for (int g = 0; g < 8; ++g) {
    const uint8_t* points = block + 2 + 8 * g;
    const uint32_t rest = load_u32(points + 4);
    parts.scales[g] = scale_of(rest >> 28);
    for (int j = 0; j < 4; ++j) {
      split_grid8(kGridIQ2_XXS[points[j]], even_signs(rest >> (7 * j)),
                  parts.codes + 32 * g + 8 * j);
    }
  }
}

void split_xs(const uint8_t* block, BlockParts& parts) {
  parts.d = load_u16(block);
  for (int p = 0; p < kPoints; ++p) {
    const uint32_t word = load_u16(block + 2 + 2 * p);
    split_grid8(kGridIQ2_XS[word & 511], even_signs(word >> 9), parts.codes + 8 * p);
  }
  split_scales(block + 2 + 2 * kPoints, parts);
}

void split_s(const uint8_t* block, BlockParts& parts) {
  const uint8_t* low = block + 2;
  const uint8_t* signs = low + kPoints;
  const uint8_t* high = signs + kPoints;
  parts.d = load_u16(block);
  for (int p = 0; p < kPoints; ++p) {
    const int point = low[p] | (((high[p / 4] >> (p % 4 * 2)) & 3) << 8);
    split_grid8(kGridIQ2_S[point], signs[p], parts.codes + 8 * p);
  }
  split_scales(high + kPoints / 4, parts);
}

constexpr QuantizedBlock block_of(int group, void (*split)(const uint8_t*, BlockParts&)) {
  return {.code_bits = 3,
          .levels = kLevels,
          .group = group,
          .scaling = BlockScaling::kTwoLevel,
          .scale_bits = 6,
          .unit = kUnit,
          .split = split};
}
constexpr QuantizedBlock kBlockXXS = block_of(32, split_xxs);
constexpr QuantizedBlock kBlockXS = block_of(16, split_xs);
constexpr QuantizedBlock kBlockS = block_of(16, split_s);

}  // namespace

constinit const Format kIQ2_XXS = {
    .name = "IQ2_XXS", .block_elements = 256, .block_bytes = 66, .quantized = &kBlockXXS};
constinit const Format kIQ2_XS = {
    .name = "IQ2_XS", .block_elements = 256, .block_bytes = 74, .quantized = &kBlockXS};
constinit const Format kIQ2_S = {
    .name = "IQ2_S", .block_elements = 256, .block_bytes = 82, .quantized = &kBlockS};

}  // namespace tessera
