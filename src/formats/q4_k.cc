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
#include "formats/block_codec.h"
#include "formats/codecs.h"
#include "formats/super_block.h"

namespace tessera {
namespace {

constexpr int kD = 0, kDMin = 2, kScales = 4, kAfterScales = 16;
constexpr int kMaxInteger = 63;
constexpr SuperBlockSearch kSearch4{{-0.4f, 0.8f, 4}, 1, 3};
constexpr SuperBlockSearch kSearch5{{-0.6f, 0.6f, 5}, 1, 3};

struct ScaleAndMin {
  int scale, min;
};

ScaleAndMin load_scale(const uint8_t* packed, int g) {
  if (g < 4) return {packed[g] & 63, packed[4 + g] & 63};
  const int low = packed[4 + g];
  return {(low & 15) | (packed[g - 4] >> 6 << 4), (low >> 4) | (packed[g] >> 6 << 4)};
}

void store_scale(uint8_t* packed, int g, ScaleAndMin s) {
  if (g < 4) {
    packed[g] |= static_cast<uint8_t>(s.scale);
    packed[4 + g] |= static_cast<uint8_t>(s.min);
  } else {
    packed[4 + g] = static_cast<uint8_t>((s.scale & 15) | ((s.min & 15) << 4));
    packed[g - 4] |= static_cast<uint8_t>(s.scale >> 4 << 6);
    packed[g] |= static_cast<uint8_t>(s.min >> 4 << 6);
  }
}

int code_byte(int i) {
  return i / 64 * 32 + i % 32;
}
int code_shift(int i) {
  return i % 64 / 32 * 4;
}

template <int kBits>
void encode_block(const BlockInput<256>& in, uint8_t* block) {
  constexpr IntegerLevels kLevels{0, (1 << kBits) - 1};
  const AffineScales<8> found =
      search_affine_scales<8, 32>(kLevels, kMaxInteger, in, kBits == 4 ? kSearch4 : kSearch5);
  store_f16(block + kD, found.d);
  store_f16(block + kDMin, found.dmin);
  uint8_t* fifth_bits = block + kAfterScales;
  uint8_t* codes = fifth_bits + (kBits == 5 ? 32 : 0);
  for (int g = 0; g < 8; ++g) {
    store_scale(block + kScales, g, {found.scale[g], found.min[g]});
    const Coder coder(kLevels, found.group_scale(g), found.group_offset(g));
    for (int i = 32 * g; i < 32 * g + 32; ++i) {
      const uint8_t code = coder(in.x[i]);
      codes[code_byte(i)] |= static_cast<uint8_t>((code & 15) << code_shift(i));
      if (kBits == 5) fifth_bits[i % 32] |= static_cast<uint8_t>((code >> 4) << (i / 32));
    }
  }
}

template <int kBits>
void decode_block(const uint8_t* block, float* x) {
  const float d = load_f16(block + kD);
  const float dmin = load_f16(block + kDMin);
  const uint8_t* fifth_bits = block + kAfterScales;
  const uint8_t* codes = fifth_bits + (kBits == 5 ? 32 : 0);
  for (int g = 0; g < 8; ++g) {
    const ScaleAndMin s = load_scale(block + kScales, g);
    const float scale = d * static_cast<float>(s.scale);
    const float min = dmin * static_cast<float>(s.min);
    for (int i = 32 * g; i < 32 * g + 32; ++i) {
      int q = (codes[code_byte(i)] >> code_shift(i)) & 15;
      if (kBits == 5) q |= ((fifth_bits[i % 32] >> g) & 1) << 4;
      x[i] = scale * static_cast<float>(q) - min;
    }
  }
}

}  // namespace

void decode_q4_k(const std::byte* src, std::span<float> dst) {
  decode_blocks<256, 144>(src, dst, decode_block<4>);
}

void encode_q4_k(std::span<const float> src, std::byte* dst, std::span<const float> importance) {
  encode_blocks<256, 144>("Q4_K", kMaxInteger * kF16Max, src, dst, importance, encode_block<4>);
}

void decode_q5_k(const std::byte* src, std::span<float> dst) {
  decode_blocks<256, 176>(src, dst, decode_block<5>);
}

void encode_q5_k(std::span<const float> src, std::byte* dst, std::span<const float> importance) {
  encode_blocks<256, 176>("Q5_K", kMaxInteger * kF16Max, src, dst, importance, encode_block<5>);
}

}  // namespace tessera
