// IQ3_XXS and IQ3_S: 256 elements in 8 groups of 32; 4 elements are one of 256 or 512 points of 8
// magnitudes each, and signs. Scales have 4 bits.
//
//   IQ3_XXS, 98 bytes: f16 d; 64 bytes of points; 8 times 32 bits, one a group: 7 signs for each
//   two
//     points from the lowest bits up, the eighth makes their number even; 4 bits of scale.
//     x = d * (2 * scale + 1) / 4 * point
//   IQ3_S, 110 bytes: f16 d; 64 bytes: the low 8 bits of points; 8 bytes: their high bits;
//     32 bytes of signs; 4 bytes: scales, two to a byte.  x = d * (2 * scale + 1) * point
#include "formats/bit_fields.h"
#include "formats/format.h"
#include "formats/iq_grids.h"

namespace tessera {
namespace {

constexpr int8_t kLevelsXXS[16] = {4,  12,  20,  28,  36,  44,  52,  62,
                                   -4, -12, -20, -28, -36, -44, -52, -62};
constexpr int8_t kLevelsS[16] = {1, 3, 5, 7, 9, 11, 13, 15, -1, -3, -5, -7, -9, -11, -13, -15};
constexpr int kPoints = 64;

int8_t scale_of(uint32_t stored) {
  return static_cast<int8_t>(2 * (stored & 15) + 1);
}

void split_xxs(const uint8_t* block, BlockParts& parts) {
  const uint8_t* points = block + 2;
  parts.d = load_u16(block);
  for (int g = 0; g < 8; ++g) {
    const uint32_t rest = load_u32(points + kPoints + 4 * g);
    parts.scales[g] = scale_of(rest >> 28);
    for (int j = 0; j < 4; ++j) {
      const uint8_t* two = points + 8 * g + 2 * j;
      split_grid4(kGridIQ3_XXS[two[0]], kGridIQ3_XXS[two[1]], even_signs(rest >> (7 * j)),
                  parts.codes + 32 * g + 8 * j);
    }
  }
}

void split_s(const uint8_t* block, BlockParts& parts) {
  const uint8_t* low = block + 2;
  const uint8_t* high = low + kPoints;
  const uint8_t* signs = high + kPoints / 8;
  const uint8_t* scales = signs + kPoints / 2;
  parts.d = load_u16(block);
  const auto point = [&](int p) {
    return kGridIQ3_S[low[p] | (((high[p / 8] >> (p % 8)) & 1) << 8)];
  };
  for (int j = 0; j < kPoints / 2; ++j) {
    split_grid4(point(2 * j), point(2 * j + 1), signs[j], parts.codes + 8 * j);
  }
  for (int g = 0; g < 8; ++g) parts.scales[g] = scale_of(scales[g / 2] >> (g % 2 * 4));
}

constexpr QuantizedBlock kBlockXXS = {.code_bits = 4,
                                      .levels = kLevelsXXS,
                                      .group = 32,
                                      .scaling = BlockScaling::kTwoLevel,
                                      .scale_bits = 6,
                                      .unit = 0.25f,
                                      .split = split_xxs};
constexpr QuantizedBlock kBlockS = {.code_bits = 4,
                                    .levels = kLevelsS,
                                    .group = 32,
                                    .scaling = BlockScaling::kTwoLevel,
                                    .scale_bits = 6,
                                    .split = split_s};

}  // namespace

constinit const Format kIQ3_XXS = {
    .name = "IQ3_XXS", .block_elements = 256, .block_bytes = 98, .quantized = &kBlockXXS};
constinit const Format kIQ3_S = {
    .name = "IQ3_S", .block_elements = 256, .block_bytes = 110, .quantized = &kBlockS};

}  // namespace tessera
