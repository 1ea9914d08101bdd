// Q3_K, 110 bytes for 256 elements in 16 groups of 16.
//
//   32 bytes: third bits; 64 bytes: low two bits; 12 bytes: 6-bit scales; f16 d
//   x = d * (scale - 32) * (q - 4)
//
// Low bits: as in Q2_K. Third bits: bit i / 32 of byte i % 32 belongs to element i.
// Scales: byte j of 0..7 holds the low 4 bits of scale j (low half) and scale j + 8 (high half);
// the high 2 bits of scale j are in byte 8 + j % 4, from bit j / 4 * 2 up.
#include "formats/bit_fields.h"
#include "formats/block_codec.h"
#include "formats/format.h"
#include "formats/super_block.h"

namespace tessera {
namespace {

constexpr int kHighBits = 0, kLowBits = 32, kScales = 96, kD = 108;
constexpr IntegerLevels kLevels{-4, 3};
constexpr IntegerLevels kScaleRange{-32, 31};
constexpr SuperBlockSearch kSearch{{-1.2f, 1.2f, 17}, 1, 3};

int load_scale(const uint8_t* block, int g) {
  const int low = (block[kScales + g % 8] >> (g < 8 ? 0 : 4)) & 15;
  const int high = (block[kScales + 8 + g % 4] >> (g / 4 * 2)) & 3;
  return (low | (high << 4)) - 32;
}

void store_scale(uint8_t* block, int g, int scale) {
  const int stored = scale + 32;
  block[kScales + g % 8] |= static_cast<uint8_t>((stored & 15) << (g < 8 ? 0 : 4));
  block[kScales + 8 + g % 4] |= static_cast<uint8_t>((stored >> 4) << (g / 4 * 2));
}

void join(const BlockParts& parts, uint8_t* block) {
  store_u16(block + kD, parts.d);
  for (int g = 0; g < 16; ++g) store_scale(block, g, parts.scales[g]);
  join_crumbs(parts.codes, block + kLowBits);
  join_bit_plane(parts.codes, 2, block + kHighBits);
}

void encode_block(const BlockInput<256>& in, uint8_t* block) {
  const SymmetricScales<16> found = search_symmetric<16, 16>(kLevels, kScaleRange, in, kSearch);
  join(symmetric_parts<16, 16>(kLevels, in, found), block);
}

void split(const uint8_t* block, BlockParts& parts) {
  parts.d = load_u16(block + kD);
  for (int g = 0; g < 16; ++g) parts.scales[g] = static_cast<int8_t>(load_scale(block, g));
  split_crumbs(block + kLowBits, parts.codes);
  add_bit_plane(block + kHighBits, 2, parts.codes);
}

void encode_q3_k(std::span<const float> src, std::byte* dst, std::span<const float> importance) {
  encode_blocks<256, 110>("Q3_K", 4 * 32 * kF16Max, src, dst, importance, encode_block);
}

constexpr QuantizedBlock kBlock = {.code_bits = 3,
                                   .zero_point = 4,
                                   .group = 16,
                                   .scaling = BlockScaling::kTwoLevel,
                                   .scale_bits = 6,
                                   .split = split,
                                   .join = join};

}  // namespace

constinit const Format kQ3_K = {.name = "Q3_K",
                                .block_elements = 256,
                                .block_bytes = 110,
                                .quantized = &kBlock,
                                .encode = encode_q3_k};

}  // namespace tessera
