// Q4_K and Q5_K: 256 elements in 8 groups of 32, each with a 6-bit scale and a 6-bit min.
//
//   Q4_K, 144 bytes: f16 d; f16 dmin; 12 bytes of scales and mins; 128 bytes of codes
//   Q5_K, 176 bytes: the same with 32 bytes of fifth bits before the codes
//   x = d * scale * q - dmin * min
//
// Codes: each 64 elements have 32 bytes; byte i holds elements i (low half) and i + 32 (high half)
// of its 64. Fifth bits: bit i / 32 of byte i % 32 belongs to element i.
// Scales: bytes 0..3 hold scales 0..3 and bytes 4..7 mins 0..3 in their low 6 bits; byte 8 + j
// holds the low 4 bits of scale 4 + j (low half) and min 4 + j (high half), whose high 2 bits are
// the top bits of bytes j and 4 + j.
#include "formats/bit_fields.h"
#include "formats/block_codec.h"
#include "formats/format.h"
#include "formats/super_block.h"

namespace tessera {
namespace {

constexpr int kD = 0, kDMin = 2, kScales = 4, kAfterScales = 16;
constexpr int kMaxInteger = 63;
constexpr SuperBlockSearch kSearch4{{-0.4f, 0.8f, 4}, 1, 3};
constexpr SuperBlockSearch kSearch5{{-0.6f, 0.6f, 5}, 1, 3};

// Eight scales and eight mins from 12 bytes.
void split_scales(const uint8_t* packed, BlockParts& parts) {
  for (int j = 0; j < 4; ++j) {
    const int low = packed[8 + j];
    parts.scales[j] = static_cast<int8_t>(packed[j] & 63);
    parts.mins[j] = static_cast<int8_t>(packed[4 + j] & 63);
    parts.scales[4 + j] = static_cast<int8_t>((low & 15) | (packed[j] >> 6 << 4));
    parts.mins[4 + j] = static_cast<int8_t>((low >> 4) | (packed[4 + j] >> 6 << 4));
  }
}

void store_scale(uint8_t* packed, int g, int scale, int min) {
  if (g < 4) {
    packed[g] |= static_cast<uint8_t>(scale);
    packed[4 + g] |= static_cast<uint8_t>(min);
  } else {
    packed[4 + g] = static_cast<uint8_t>((scale & 15) | ((min & 15) << 4));
    packed[g - 4] |= static_cast<uint8_t>(scale >> 4 << 6);
    packed[g] |= static_cast<uint8_t>(min >> 4 << 6);
  }
}

int code_byte(int i) {
  return i / 64 * 32 + i % 32;
}
int code_shift(int i) {
  return i % 64 / 32 * 4;
}

template <int kBits>
void join(const BlockParts& parts, uint8_t* block) {
  store_u16(block + kD, parts.d);
  store_u16(block + kDMin, parts.m);
  for (int g = 0; g < 8; ++g) store_scale(block + kScales, g, parts.scales[g], parts.mins[g]);
  uint8_t* codes = block + kAfterScales + (kBits == 5 ? 32 : 0);
  for (int i = 0; i < 256; ++i) {
    codes[code_byte(i)] |= static_cast<uint8_t>((parts.codes[i] & 15) << code_shift(i));
  }
  if (kBits == 5) join_bit_plane(parts.codes, 4, block + kAfterScales);
}

template <int kBits>
void encode_block(const BlockInput<256>& in, uint8_t* block) {
  constexpr IntegerLevels kLevels{0, (1 << kBits) - 1};
  const AffineScales<8> found =
      search_affine_scales<8, 32>(kLevels, kMaxInteger, in, kBits == 4 ? kSearch4 : kSearch5);
  join<kBits>(affine_parts<8, 32>(kLevels, in, found), block);
}

template <int kBits>
void split(const uint8_t* block, BlockParts& parts) {
  const uint8_t* fifth_bits = block + kAfterScales;
  const uint8_t* codes = fifth_bits + (kBits == 5 ? 32 : 0);
  parts.d = load_u16(block + kD);
  parts.m = load_u16(block + kDMin);
  split_scales(block + kScales, parts);
  for (int c = 0; c < 4; ++c) {
    for (int i = 0; i < 32; ++i) {
      parts.codes[64 * c + i] = codes[32 * c + i] & 15;
      parts.codes[64 * c + 32 + i] = codes[32 * c + i] >> 4;
    }
  }
  if (kBits == 5) add_bit_plane(fifth_bits, 4, parts.codes);
}

void encode_q4_k(std::span<const float> src, std::byte* dst, std::span<const float> importance) {
  encode_blocks<256, 144>("Q4_K", kMaxInteger * kF16Max, src, dst, importance, encode_block<4>);
}

void encode_q5_k(std::span<const float> src, std::byte* dst, std::span<const float> importance) {
  encode_blocks<256, 176>("Q5_K", kMaxInteger * kF16Max, src, dst, importance, encode_block<5>);
}

template <int kBits>
constexpr QuantizedBlock kBlock = {.code_bits = kBits,
                                   .group = 32,
                                   .scaling = BlockScaling::kTwoLevel,
                                   .has_min = true,
                                   .scale_bits = 6,
                                   .split = split<kBits>,
                                   .join = join<kBits>};

}  // namespace

constinit const Format kQ4_K = {.name = "Q4_K",
                                .block_elements = 256,
                                .block_bytes = 144,
                                .quantized = &kBlock<4>,
                                .encode = encode_q4_k};
constinit const Format kQ5_K = {.name = "Q5_K",
                                .block_elements = 256,
                                .block_bytes = 176,
                                .quantized = &kBlock<5>,
                                .encode = encode_q5_k};

}  // namespace tessera
