// Q2_K, 84 bytes for 256 elements in 16 groups of 16.
//
//   16 bytes: per group, scale (low half) and min (high half), 4 bits each
//   64 bytes: 2-bit codes; f16 d; f16 dmin
//   x = d * scale * q - dmin * min
//
// Codes: each half of 128 elements has 32 bytes; byte i holds elements i, i + 32, i + 64, i + 96 of
// its half, from the lowest bits up.
#include "formats/block_codec.h"
#include "formats/codecs.h"
#include "formats/super_block.h"

namespace tessera {
namespace {

constexpr int kScales = 0, kCodes = 16, kD = 80, kDMin = 82;
constexpr IntegerLevels kLevels{0, 3};
constexpr SuperBlockSearch kSearch{{-0.2f, 0.7f, 7}, 1, 4};

int code_byte(int i) {
  return kCodes + i / 128 * 32 + i % 32;
}
int code_shift(int i) {
  return i % 128 / 32 * 2;
}

void encode_block(const BlockInput<256>& in, uint8_t* block) {
  const AffineScales<16> found = search_affine_scales<16, 16>(kLevels, 15, in, kSearch);
  store_f16(block + kD, found.d);
  store_f16(block + kDMin, found.dmin);
  for (int g = 0; g < 16; ++g) {
    block[kScales + g] = static_cast<uint8_t>(found.scale[g] | (found.min[g] << 4));
    const Coder coder(kLevels, found.group_scale(g), found.group_offset(g));
    for (int i = 16 * g; i < 16 * g + 16; ++i) {
      block[code_byte(i)] |= static_cast<uint8_t>(coder(in.x[i]) << code_shift(i));
    }
  }
}

void decode_block(const uint8_t* block, float* x) {
  const float d = load_f16(block + kD);
  const float dmin = load_f16(block + kDMin);
  for (int i = 0; i < 256; ++i) {
    const uint8_t packed = block[kScales + i / 16];
    const int q = (block[code_byte(i)] >> code_shift(i)) & 3;
    x[i] = d * static_cast<float>(packed & 15) * static_cast<float>(q) -
           dmin * static_cast<float>(packed >> 4);
  }
}

}  // namespace

void decode_q2_k(const std::byte* src, std::span<float> dst) {
  decode_blocks<256, 84>(src, dst, decode_block);
}

void encode_q2_k(std::span<const float> src, std::byte* dst, std::span<const float> importance) {
  encode_blocks<256, 84>("Q2_K", 15 * kF16Max, src, dst, importance, encode_block);
}

}  // namespace tessera
