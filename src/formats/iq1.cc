// IQ1_S and IQ1_M: 256 elements, of which 8 are one of 2048 points of -1, 0, 1 each, moved by an
// eighth.  x = d * (2 * scale + 1) * (point +- 1/8)
//
//   IQ1_S, 50 bytes, 8 groups of 32: f16 d; 32 bytes: the low 8 bits of points; a word of 16 bits
//   for
//     each group: 3 high bits for each of its 4 points from the lowest bits up, 3 bits of scale,
//     and the sign of the eighth.
//   IQ1_M, 56 bytes, 16 groups of 16: 32 bytes: the low 8 bits of points; 16 bytes, a half for each
//     point, low half first: 3 high bits and the sign of its eighth; 4 words of 16 bits: 3 bits of
//     scale for each of 4 groups, and, at the top, 4 bits of d, an f16, the lowest first.
//
// In eighths the elements are -9, -7, -1, 1, 7 or 9.
#include "formats/bit_fields.h"
#include "formats/format.h"
#include "formats/iq_grids.h"

namespace tessera {
namespace {

// Eight times index - 1, then one more, or, from 4 on, one less.
constexpr int8_t kLevels[8] = {-7, 1, 9, 0, -9, -1, 7, 0};
constexpr float kEighth = 0.125f;
constexpr int kPoints = 32;

int8_t scale_of(int stored) {
  return static_cast<int8_t>(2 * (stored & 7) + 1);
}

void split_point(int point, bool less, uint8_t* codes) {
  split_grid8(kGridIQ1[point], less ? 0xff : 0, codes);
}

void split_iq1_s(const uint8_t* block, BlockParts& parts) {
  const uint8_t* low = block + 2;
  const uint8_t* words = low + kPoints;
  parts.d = load_u16(block);
  for (int g = 0; g < 8; ++g) {
    const int word = load_u16(words + 2 * g);
    parts.scales[g] = scale_of(word >> 12);
    for (int j = 0; j < 4; ++j) {
      const int point = low[4 * g + j] | (((word >> (3 * j)) & 7) << 8);
      split_point(point, (word & 0x8000) != 0, parts.codes + 32 * g + 8 * j);
    }
  }
}

void split_iq1_m(const uint8_t* block, BlockParts& parts) {
  const uint8_t* high = block + kPoints;
  const uint8_t* words = high + kPoints / 2;
  int d = 0;
  for (int w = 0; w < 4; ++w) {
    const int word = load_u16(words + 2 * w);
    d |= (word >> 12) << (4 * w);
    for (int g = 0; g < 4; ++g) parts.scales[4 * w + g] = scale_of(word >> (3 * g));
  }
  parts.d = static_cast<uint16_t>(d);
  for (int p = 0; p < kPoints; ++p) {
    const int half = (high[p / 2] >> (p % 2 * 4)) & 15;
    split_point(block[p] | ((half & 7) << 8), (half & 8) != 0, parts.codes + 8 * p);
  }
}

constexpr QuantizedBlock kBlockS = {.code_bits = 3,
                                    .levels = kLevels,
                                    .group = 32,
                                    .scaling = BlockScaling::kTwoLevel,
                                    .scale_bits = 5,
                                    .unit = kEighth,
                                    .split = split_iq1_s};
constexpr QuantizedBlock kBlockM = {.code_bits = 3,
                                    .levels = kLevels,
                                    .group = 16,
                                    .scaling = BlockScaling::kTwoLevel,
                                    .scale_bits = 5,
                                    .unit = kEighth,
                                    .split = split_iq1_m};

}  // namespace

constinit const Format kIQ1_S = {
    .name = "IQ1_S", .block_elements = 256, .block_bytes = 50, .quantized = &kBlockS};
constinit const Format kIQ1_M = {
    .name = "IQ1_M", .block_elements = 256, .block_bytes = 56, .quantized = &kBlockM};

}  // namespace tessera
