// IQ4_NL and IQ4_XS: 4-bit codes into a fixed, non-linear table of 16 levels.
//
//   IQ4_NL, 18 bytes for 32 elements: f16 d; 16 bytes of codes.  x = d * level[q]
//   IQ4_XS, 136 bytes for 256 elements in 8 groups of 32: f16 d; 2 bytes: high 2 bits of the
//     6-bit scales, group 0 lowest; 4 bytes: their low 4 bits, two to a byte; 128 bytes of codes.
//     x = d * (scale - 32) * level[q]
//
// Codes of 32 elements: byte i holds element i (low half) and i + 16 (high half).
#include "formats/bit_fields.h"
#include "formats/block_codec.h"
#include "formats/format.h"
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

void join_nl(const BlockParts& parts, uint8_t* block) {
  store_u16(block, parts.d);
  join_nibbles(parts.codes, block + 2);
}

void join_xs(const BlockParts& parts, uint8_t* block) {
  store_u16(block, parts.d);
  for (int g = 0; g < 8; ++g) {
    const int stored = parts.scales[g] + 32;
    block[kHighScales + g / 4] |= static_cast<uint8_t>((stored >> 4) << (g % 4 * 2));
    block[kLowScales + g / 2] |= static_cast<uint8_t>((stored & 15) << (g % 2 * 4));
    join_nibbles(parts.codes + 32 * g, block + kCodes + 16 * g);
  }
}

void encode_block_xs(const BlockInput<256>& in, uint8_t* block) {
  const SymmetricScales<8> found = search_symmetric<8, 32>(kLevels, kScaleRange, in, kSearchXS);
  join_xs(symmetric_parts<8, 32>(kLevels, in, found), block);
}

void split_nl(const uint8_t* block, BlockParts& parts) {
  parts.d = load_u16(block);
  split_nibbles(block + 2, parts.codes);
}

void split_xs(const uint8_t* block, BlockParts& parts) {
  parts.d = load_u16(block);
  for (int g = 0; g < 8; ++g) {
    const int high = (block[kHighScales + g / 4] >> (g % 4 * 2)) & 3;
    const int low = (block[kLowScales + g / 2] >> (g % 2 * 4)) & 15;
    parts.scales[g] = static_cast<int8_t>((low | (high << 4)) - 32);
    split_nibbles(block + kCodes + 16 * g, parts.codes + 32 * g);
  }
}

void encode_iq4_nl(std::span<const float> src, std::byte* dst, std::span<const float> importance) {
  encode_blocks<32, 18>(
      "IQ4_NL", 113 * kF16Max, src, dst, importance, [](const BlockInput<32>& in, uint8_t* block) {
        const float d = search_scale_f16<32>(kLevels, in.x, in.weight, kCandidatesNL);
        BlockParts parts;
        parts.d = f32_to_f16(d);
        Coder(kLevels, d, 0).encode(in.x, 32, parts.codes);
        join_nl(parts, block);
      });
}

void encode_iq4_xs(std::span<const float> src, std::byte* dst, std::span<const float> importance) {
  encode_blocks<256, 136>("IQ4_XS", 31 * 113 * kF16Max, src, dst, importance, encode_block_xs);
}

constexpr QuantizedBlock kBlockNL = {.code_bits = 4,
                                     .levels = kTable.data(),
                                     .group = 32,
                                     .scaling = BlockScaling::kF16,
                                     .split = split_nl,
                                     .join = join_nl};
constexpr QuantizedBlock kBlockXS = {.code_bits = 4,
                                     .levels = kTable.data(),
                                     .group = 32,
                                     .scaling = BlockScaling::kTwoLevel,
                                     .scale_bits = 6,
                                     .split = split_xs,
                                     .join = join_xs};

}  // namespace

constinit const Format kIQ4_NL = {.name = "IQ4_NL",
                                  .block_elements = 32,
                                  .block_bytes = 18,
                                  .quantized = &kBlockNL,
                                  .encode = encode_iq4_nl};
constinit const Format kIQ4_XS = {.name = "IQ4_XS",
                                  .block_elements = 256,
                                  .block_bytes = 136,
                                  .quantized = &kBlockXS,
                                  .encode = encode_iq4_xs};

}  // namespace tessera
