// Q4_0 and Q4_1: 32 elements of 4 bits with one f16 scale (and, in Q4_1, one f16 minimum).
//
//   Q4_0, 18 bytes: f16 d; 16 bytes of codes.         x = d * (q - 8)
//   Q4_1, 20 bytes: f16 d; f16 m; 16 bytes of codes.  x = d * q + m
//
// Byte i holds the code of element i in its low half and that of element i + 16 in its high half.
#include <cmath>

#include "formats/bit_fields.h"
#include "formats/block_codec.h"
#include "formats/format.h"
#include "formats/quick_q4_0.h"
#include "formats/scale_search.h"

namespace tessera {
namespace {

constexpr IntegerLevels kSigned{-8, 7};
constexpr IntegerLevels kUnsigned{0, 15};
constexpr Candidates kCandidates4_0{-1.5f, 1.5f, 31};
constexpr Candidates kCandidates4_1{-0.8f, 0.8f, 5};

void split_q4_0(const uint8_t* block, BlockParts& parts) {
  parts.d = load_u16(block);
  split_nibbles(block + 2, parts.codes);
}

void split_q4_1(const uint8_t* block, BlockParts& parts) {
  parts.d = load_u16(block);
  parts.m = load_u16(block + 2);
  split_nibbles(block + 4, parts.codes);
}

void join_q4_0(const BlockParts& parts, uint8_t* block) {
  store_u16(block, parts.d);
  join_nibbles(parts.codes, block + 2);
}

void join_q4_1(const BlockParts& parts, uint8_t* block) {
  store_u16(block, parts.d);
  store_u16(block + 2, parts.m);
  join_nibbles(parts.codes, block + 4);
}

// With the scale settled.
void store_q4_0(const float* x, float d, uint8_t* block) {
  BlockParts parts;
  parts.d = f32_to_f16(d);
  Coder(kSigned, d, 0).encode(x, 32, parts.codes);
  join_q4_0(parts, block);
}

void encode_q4_0(std::span<const float> src, std::byte* dst, std::span<const float> importance) {
  encode_blocks<32, 18>(
      "Q4_0", 8 * kF16Max, src, dst, importance, [](const BlockInput<32>& in, uint8_t* block) {
        const float d = search_scale_f16<32>(kSigned, in.x, in.weight, kCandidates4_0);
        store_q4_0(in.x, d, block);
      });
}

void encode_q4_1(std::span<const float> src, std::byte* dst, std::span<const float> importance) {
  encode_blocks<32, 20>(
      "Q4_1", kF16Max, src, dst, importance, [](const BlockInput<32>& in, uint8_t* block) {
        const AffineF16 fit = search_affine_f16<32>(kUnsigned, in.x, in.weight, kCandidates4_1);
        BlockParts parts;
        parts.d = f32_to_f16(fit.scale);
        parts.m = f32_to_f16(fit.offset);
        Coder(kUnsigned, fit.scale, fit.offset).encode(in.x, 32, parts.codes);
        join_q4_1(parts, block);
      });
}

constexpr QuantizedBlock kBlock4_0 = {.code_bits = 4,
                                      .zero_point = 8,
                                      .group = 32,
                                      .scaling = BlockScaling::kF16,
                                      .split = split_q4_0,
                                      .join = join_q4_0};
constexpr QuantizedBlock kBlock4_1 = {.code_bits = 4,
                                      .group = 32,
                                      .scaling = BlockScaling::kF16,
                                      .has_min = true,
                                      .split = split_q4_1,
                                      .join = join_q4_1};

}  // namespace

void encode_q4_0_by_largest(std::span<const float> src, std::byte* dst, std::span<const float>) {
  encode_blocks<32, 18>(
      "Q4_0", 8 * kF16Max, src, dst, {}, [](const BlockInput<32>& in, uint8_t* block) {
        float largest = 0;
        for (int i = 0; i < 32; ++i) {
          if (std::abs(in.x[i]) > std::abs(largest)) largest = in.x[i];
        }
        const float d = round_scale_f16(largest / -8);  // code 0 is the one of the most magnitude
        store_q4_0(in.x, d, block);
      });
}

constinit const Format kQ4_0 = {.name = "Q4_0",
                                .block_elements = 32,
                                .block_bytes = 18,
                                .quantized = &kBlock4_0,
                                .encode = encode_q4_0};
constinit const Format kQ4_1 = {.name = "Q4_1",
                                .block_elements = 32,
                                .block_bytes = 20,
                                .quantized = &kBlock4_1,
                                .encode = encode_q4_1};

}  // namespace tessera
