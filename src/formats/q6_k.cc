// Q6_K, 210 bytes for 256 elements in 16 groups of 16.
//
//   128 bytes: low 4 bits; 64 bytes: high 2 bits; 16 bytes: signed 8-bit scales; f16 d
//   x = d * scale * (q - 32)
//
// Each half of 128 elements has 64 bytes of low bits, byte i holding elements i (low half) and
// i + 64 (high half) of its half, and 32 bytes of high bits, byte i holding elements i, i + 32,
// i + 64, i + 96 from the lowest bits up.
#include <cstring>

#include "formats/bit_fields.h"
#include "formats/block_codec.h"
#include "formats/format.h"
#include "formats/super_block.h"

namespace tessera {
namespace {

constexpr int kLowBits = 0, kHighBits = 128, kScales = 192, kD = 208;
constexpr IntegerLevels kLevels{-32, 31};
constexpr IntegerLevels kScaleRange{-128, 127};
constexpr SuperBlockSearch kSearch{{-1.5f, 1.5f, 13}, 2, 2};

int low_byte(int i) {
  return kLowBits + i / 128 * 64 + i % 64;
}
int low_shift(int i) {
  return i % 128 / 64 * 4;
}
int high_byte(int i) {
  return kHighBits + i / 128 * 32 + i % 32;
}
int high_shift(int i) {
  return i % 128 / 32 * 2;
}

void join(const BlockParts& parts, uint8_t* block) {
  store_u16(block + kD, parts.d);
  std::memcpy(block + kScales, parts.scales, 16);
  for (int i = 0; i < 256; ++i) {
    const uint8_t code = parts.codes[i];
    block[low_byte(i)] |= static_cast<uint8_t>((code & 15) << low_shift(i));
    block[high_byte(i)] |= static_cast<uint8_t>((code >> 4) << high_shift(i));
  }
}

void encode_block(const BlockInput<256>& in, uint8_t* block) {
  const SymmetricScales<16> found = search_symmetric<16, 16>(kLevels, kScaleRange, in, kSearch);
  join(symmetric_parts<16, 16>(kLevels, in, found), block);
}

void split(const uint8_t* block, BlockParts& parts) {
  parts.d = load_u16(block + kD);
  std::memcpy(parts.scales, block + kScales, 16);
  for (int half = 0; half < 2; ++half) {
    const uint8_t* low = block + kLowBits + 64 * half;
    const uint8_t* high = block + kHighBits + 32 * half;
    uint8_t* codes = parts.codes + 128 * half;
    for (int i = 0; i < 64; ++i) {
      codes[i] = low[i] & 15;
      codes[64 + i] = low[i] >> 4;
    }
    for (int j = 0; j < 4; ++j) {
      for (int i = 0; i < 32; ++i) {
        codes[32 * j + i] |= static_cast<uint8_t>(((high[i] >> (2 * j)) & 3) << 4);
      }
    }
  }
}

void encode_q6_k(std::span<const float> src, std::byte* dst, std::span<const float> importance) {
  encode_blocks<256, 210>("Q6_K", 32 * 128 * kF16Max, src, dst, importance, encode_block);
}

constexpr QuantizedBlock kBlock = {.code_bits = 6,
                                   .zero_point = 32,
                                   .group = 16,
                                   .scaling = BlockScaling::kTwoLevel,
                                   .scale_bits = 8,
                                   .split = split,
                                   .join = join};

}  // namespace

constinit const Format kQ6_K = {.name = "Q6_K",
                                .block_elements = 256,
                                .block_bytes = 210,
                                .quantized = &kBlock,
                                .encode = encode_q6_k};

}  // namespace tessera
