// Q5_0 and Q5_1: 32 elements of 5 bits with one f16 scale (and, in Q5_1, one f16 minimum).
//
//   Q5_0, 22 bytes: f16 d; 4 bytes of fifth bits; 16 bytes of low bits.         x = d * (q - 16)
//   Q5_1, 24 bytes: f16 d; f16 m; 4 bytes of fifth bits; 16 bytes of low bits.  x = d * q + m
//
// Byte i of the low bits holds elements i (low half) and i + 16 (high half); bit i of the fifth
// bits, a little-endian 32-bit number, belongs to element i.
#include "formats/bit_fields.h"
#include "formats/block_codec.h"
#include "formats/format.h"
#include "formats/scale_search.h"

namespace tessera {
namespace {

constexpr IntegerLevels kSigned{-16, 15};
constexpr IntegerLevels kUnsigned{0, 31};
constexpr Candidates kCandidates5_0{-1.5f, 1.5f, 31};
constexpr Candidates kCandidates5_1{-1, 1, 7};

// `bits` points at the fifth bits; the low bits follow.
void split_codes(const uint8_t* bits, uint8_t* codes) {
  split_nibbles(bits + 4, codes);
  const uint32_t fifth = load_u16(bits) | (static_cast<uint32_t>(load_u16(bits + 2)) << 16);
  for (int i = 0; i < 32; ++i) codes[i] |= static_cast<uint8_t>(((fifth >> i) & 1u) << 4);
}

void store_code(uint8_t* bits, int i, uint8_t code) {
  bits[4 + i % 16] |= static_cast<uint8_t>((code & 15) << (i < 16 ? 0 : 4));
  bits[i / 8] |= static_cast<uint8_t>((code >> 4) << (i % 8));
}

void split_q5_0(const uint8_t* block, BlockParts& parts) {
  parts.d = load_u16(block);
  split_codes(block + 2, parts.codes);
}

void split_q5_1(const uint8_t* block, BlockParts& parts) {
  parts.d = load_u16(block);
  parts.m = load_u16(block + 2);
  split_codes(block + 4, parts.codes);
}

void join_codes(const uint8_t* codes, uint8_t* bits) {
  for (int i = 0; i < 32; ++i) store_code(bits, i, codes[i]);
}

void join_q5_0(const BlockParts& parts, uint8_t* block) {
  store_u16(block, parts.d);
  join_codes(parts.codes, block + 2);
}

void join_q5_1(const BlockParts& parts, uint8_t* block) {
  store_u16(block, parts.d);
  store_u16(block + 2, parts.m);
  join_codes(parts.codes, block + 4);
}

void encode_q5_0(std::span<const float> src, std::byte* dst, std::span<const float> importance) {
  encode_blocks<32, 22>(
      "Q5_0", 16 * kF16Max, src, dst, importance, [](const BlockInput<32>& in, uint8_t* block) {
        const float d = search_scale_f16<32>(kSigned, in.x, in.weight, kCandidates5_0);
        BlockParts parts;
        parts.d = f32_to_f16(d);
        Coder(kSigned, d, 0).encode(in.x, 32, parts.codes);
        join_q5_0(parts, block);
      });
}

void encode_q5_1(std::span<const float> src, std::byte* dst, std::span<const float> importance) {
  encode_blocks<32, 24>(
      "Q5_1", kF16Max, src, dst, importance, [](const BlockInput<32>& in, uint8_t* block) {
        const AffineF16 fit = search_affine_f16<32>(kUnsigned, in.x, in.weight, kCandidates5_1);
        BlockParts parts;
        parts.d = f32_to_f16(fit.scale);
        parts.m = f32_to_f16(fit.offset);
        Coder(kUnsigned, fit.scale, fit.offset).encode(in.x, 32, parts.codes);
        join_q5_1(parts, block);
      });
}

constexpr QuantizedBlock kBlock5_0 = {.code_bits = 5,
                                      .zero_point = 16,
                                      .group = 32,
                                      .scaling = BlockScaling::kF16,
                                      .split = split_q5_0,
                                      .join = join_q5_0};
constexpr QuantizedBlock kBlock5_1 = {.code_bits = 5,
                                      .group = 32,
                                      .scaling = BlockScaling::kF16,
                                      .has_min = true,
                                      .split = split_q5_1,
                                      .join = join_q5_1};

}  // namespace

constinit const Format kQ5_0 = {.name = "Q5_0",
                                .block_elements = 32,
                                .block_bytes = 22,
                                .quantized = &kBlock5_0,
                                .encode = encode_q5_0};
constinit const Format kQ5_1 = {.name = "Q5_1",
                                .block_elements = 32,
                                .block_bytes = 24,
                                .quantized = &kBlock5_1,
                                .encode = encode_q5_1};

}  // namespace tessera
