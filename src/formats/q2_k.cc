// Q2_K, 84 bytes for 256 elements in 16 groups of 16.
//
//   16 bytes: per group, scale (low half) and min (high half), 4 bits each
//   64 bytes: 2-bit codes; f16 d; f16 dmin
//   x = d * scale * q - dmin * min
//
// Codes: each half of 128 elements has 32 bytes; byte i holds elements i, i + 32, i + 64, i + 96 of
// its half, from the lowest bits up.
#include "formats/bit_fields.h"
#include "formats/block_codec.h"
#include "formats/format.h"
#include "formats/super_block.h"

namespace tessera {
namespace {

constexpr int kScales = 0, kCodes = 16, kD = 80, kDMin = 82;
constexpr IntegerLevels kLevels{0, 3};
constexpr SuperBlockSearch kSearch{{-0.2f, 0.7f, 7}, 1, 4};

void join(const BlockParts& parts, uint8_t* block) {
  store_u16(block + kD, parts.d);
  store_u16(block + kDMin, parts.m);
  for (int g = 0; g < 16; ++g) {
    block[kScales + g] = static_cast<uint8_t>(parts.scales[g] | (parts.mins[g] << 4));
  }
  join_crumbs(parts.codes, block + kCodes);
}

void encode_block(const BlockInput<256>& in, uint8_t* block) {
  const AffineScales<16> found = search_affine_scales<16, 16>(kLevels, 15, in, kSearch);
  join(affine_parts<16, 16>(kLevels, in, found), block);
}

void split(const uint8_t* block, BlockParts& parts) {
  parts.d = load_u16(block + kD);
  parts.m = load_u16(block + kDMin);
  for (int g = 0; g < 16; ++g) {
    parts.scales[g] = static_cast<int8_t>(block[kScales + g] & 15);
    parts.mins[g] = static_cast<int8_t>(block[kScales + g] >> 4);
  }
  split_crumbs(block + kCodes, parts.codes);
}

void encode_q2_k(std::span<const float> src, std::byte* dst, std::span<const float> importance) {
  encode_blocks<256, 84>("Q2_K", 15 * kF16Max, src, dst, importance, encode_block);
}

constexpr QuantizedBlock kBlock = {.code_bits = 2,
                                   .group = 16,
                                   .scaling = BlockScaling::kTwoLevel,
                                   .has_min = true,
                                   .scale_bits = 4,
                                   .split = split,
                                   .join = join};

}  // namespace

constinit const Format kQ2_K = {.name = "Q2_K",
                                .block_elements = 256,
                                .block_bytes = 84,
                                .quantized = &kBlock,
                                .encode = encode_q2_k};

}  // namespace tessera
