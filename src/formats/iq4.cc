// IQ4_NL and IQ4_XS: 4-bit codes into a fixed, non-linear table of 16 levels.
//
//   IQ4_NL, 18 bytes for 32 elements: f16 d; 16 bytes of codes.  x = d * level[q]
//   IQ4_XS, 136 bytes for 256 elements in 8 groups of 32: f16 d; 2 bytes: high 2 bits of the
//     6-bit scales, group 0 lowest; 4 bytes: their low 4 bits, two to a byte; 128 bytes of codes.
//     x = d * (scale - 32) * level[q]
//
// Codes of 32 elements: byte i holds element i (low half) and i + 16 (high half).
#include "formats/block_codec.h"
#include "formats/codecs.h"
#include "formats/super_block.h"

namespace tessera {
namespace {

// Source: kvalues_iq4nl in ggml-common.h.
constexpr std::array<int8_t, 16> kTable{-127, -104, -83, -65, -49, -35, -22, -10,
                                        1,    13,   25,  38,  53,  69,  89,  113};
constexpr Codebook<16> kLevels(kTable);
constexpr IntegerLevels kScaleRange{-32, 31};
constexpr Candidates kCandidatesNL{-15, 12, 19};
constexpr SuperBlockSearch kSearchXS{{-15, 12, 13}, 1, 2};

constexpr int kHighScales = 2, kLowScales = 4, kCodes = 8;

void decode_codes(const uint8_t* codes, float scale, float* x) {
  for (int i = 0; i < 16; ++i) {
    x[i] = scale * static_cast<float>(kTable[codes[i] & 15]);
    x[i + 16] = scale * static_cast<float>(kTable[codes[i] >> 4]);
  }
}

void encode_codes(const float* x, float scale, uint8_t* codes) {
  const Coder coder(kLevels, scale, 0);
  for (int i = 0; i < 16; ++i)
    codes[i] = static_cast<uint8_t>(coder(x[i]) | (coder(x[i + 16]) << 4));
}

void encode_block_xs(const BlockInput<256>& in, uint8_t* block) {
  const SymmetricScales<8> found = search_symmetric<8, 32>(kLevels, kScaleRange, in, kSearchXS);
  store_f16(block, found.d);
  for (int g = 0; g < 8; ++g) {
    const int stored = found.scale[g] + 32;
    block[kHighScales + g / 4] |= static_cast<uint8_t>((stored >> 4) << (g % 4 * 2));
    block[kLowScales + g / 2] |= static_cast<uint8_t>((stored & 15) << (g % 2 * 4));
    encode_codes(in.x + 32 * g, found.group_scale(g), block + kCodes + 16 * g);
  }
}

void decode_block_xs(const uint8_t* block, float* x) {
  const float d = load_f16(block);
  for (int g = 0; g < 8; ++g) {
    const int high = (block[kHighScales + g / 4] >> (g % 4 * 2)) & 3;
    const int low = (block[kLowScales + g / 2] >> (g % 2 * 4)) & 15;
    decode_codes(block + kCodes + 16 * g, d * static_cast<float>((low | (high << 4)) - 32),
                 x + 32 * g);
  }
}

}  // namespace

void decode_iq4_nl(const std::byte* src, std::span<float> dst) {
  decode_blocks<32, 18>(src, dst, [](const uint8_t* block, float* x) {
    decode_codes(block + 2, load_f16(block), x);
  });
}

void encode_iq4_nl(std::span<const float> src, std::byte* dst, std::span<const float> importance) {
  encode_blocks<32, 18>(
      "IQ4_NL", 113 * kF16Max, src, dst, importance, [](const BlockInput<32>& in, uint8_t* block) {
        const float d = search_scale_f16<32>(kLevels, in.x, in.weight, kCandidatesNL);
        store_f16(block, d);
        encode_codes(in.x, d, block + 2);
      });
}

void decode_iq4_xs(const std::byte* src, std::span<float> dst) {
  decode_blocks<256, 136>(src, dst, decode_block_xs);
}

void encode_iq4_xs(std::span<const float> src, std::byte* dst, std::span<const float> importance) {
  encode_blocks<256, 136>("IQ4_XS", 31 * 113 * kF16Max, src, dst, importance, encode_block_xs);
}

}  // namespace tessera
