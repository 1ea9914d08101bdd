// TQ1_0 and TQ2_0: weights -1, 0, 1 with one f16 scale for 256 elements.  x = d * (q - 1)
//
//   TQ1_0, 54 bytes: 48 bytes of 5 ternary digits each; 4 bytes of 4; f16 d
//   TQ2_0, 66 bytes: 64 bytes of 2-bit codes; f16 d
//
// A byte of TQ1_0 is a fraction of 256: times 3, the carry is the first digit, and so on. The first
// 32 bytes hold elements 0 - 159, byte i those at i, i + 32, ...; the next 16 elements 160 - 239,
// byte i those at i, i + 16, ...; the last 4 elements 240 - 255, likewise. TQ2_0 is as in Q2_K; its
// codes may be 3, though no encoder writes that. Source: quantize_row_tq1_0_ref and its kin in
// ggml-quants.c.
#include <array>

#include "formats/bit_fields.h"
#include "formats/block_codec.h"
#include "formats/format.h"
#include "formats/scale_search.h"

namespace tessera {
namespace {

constexpr IntegerLevels kLevels{-1, 1};
// The largest element is clipped to a third at most: ternary scales lie in the midst of the
// weights.
constexpr Candidates kCandidates{0, 2, 31};

// Bytes of TQ1_0 that hold `digits` digits each: bytes [byte, byte + count), elements from
// `element`.
struct Digits {
  int byte, count, digits, element;
};
constexpr Digits kDigits[] = {{0, 32, 5, 0}, {32, 16, 5, 160}, {48, 4, 4, 240}};
constexpr int kD1 = 52, kD2 = 64;

void split_tq1_0(const uint8_t* block, BlockParts& parts) {
  parts.d = load_u16(block + kD1);
  for (const Digits& run : kDigits) {
    for (int i = 0; i < run.count; ++i) {
      uint8_t rest = block[run.byte + i];
      for (int n = 0; n < run.digits; ++n) {
        const int next = 3 * rest;
        parts.codes[run.element + n * run.count + i] = static_cast<uint8_t>(next >> 8);
        rest = static_cast<uint8_t>(next & 0xff);
      }
    }
  }
}

void split_tq2_0(const uint8_t* block, BlockParts& parts) {
  parts.d = load_u16(block + kD2);
  split_crumbs(block, parts.codes);
}

void join_tq1_0(const BlockParts& parts, uint8_t* block) {
  store_u16(block + kD1, parts.d);
  for (const Digits& run : kDigits) {
    for (int i = 0; i < run.count; ++i) {
      int number = 0;
      for (int n = 0; n < 5; ++n) {
        number = 3 * number + (n < run.digits ? parts.codes[run.element + n * run.count + i] : 0);
      }
      block[run.byte + i] = static_cast<uint8_t>((number * 256 + 242) / 243);  // rounded up
    }
  }
}

void join_tq2_0(const BlockParts& parts, uint8_t* block) {
  store_u16(block + kD2, parts.d);
  join_crumbs(parts.codes, block);
}

BlockParts find_parts(const BlockInput<256>& in) {
  const float d = search_scale_f16<256>(kLevels, in.x, in.weight, kCandidates);
  BlockParts parts;
  parts.d = f32_to_f16(d);
  Coder(kLevels, d, 0).encode(in.x, 256, parts.codes);
  return parts;
}

void encode_block_tq1_0(const BlockInput<256>& in, uint8_t* block) {
  join_tq1_0(find_parts(in), block);
}

void encode_block_tq2_0(const BlockInput<256>& in, uint8_t* block) {
  join_tq2_0(find_parts(in), block);
}

void encode_tq1_0(std::span<const float> src, std::byte* dst, std::span<const float> importance) {
  encode_blocks<256, 54>("TQ1_0", kF16Max, src, dst, importance, encode_block_tq1_0);
}

void encode_tq2_0(std::span<const float> src, std::byte* dst, std::span<const float> importance) {
  encode_blocks<256, 66>("TQ2_0", kF16Max, src, dst, importance, encode_block_tq2_0);
}

constexpr QuantizedBlock kBlock1 = {.code_bits = 2,
                                    .zero_point = 1,
                                    .group = 256,
                                    .scaling = BlockScaling::kF16,
                                    .split = split_tq1_0,
                                    .join = join_tq1_0,
                                    .highest_code = 2};
constexpr QuantizedBlock kBlock2 = {.code_bits = 2,
                                    .zero_point = 1,
                                    .group = 256,
                                    .scaling = BlockScaling::kF16,
                                    .split = split_tq2_0,
                                    .join = join_tq2_0,
                                    .highest_code = 2};

}  // namespace

constinit const Format kTQ1_0 = {.name = "TQ1_0",
                                 .block_elements = 256,
                                 .block_bytes = 54,
                                 .quantized = &kBlock1,
                                 .encode = encode_tq1_0};
constinit const Format kTQ2_0 = {.name = "TQ2_0",
                                 .block_elements = 256,
                                 .block_bytes = 66,
                                 .quantized = &kBlock2,
                                 .encode = encode_tq2_0};

}  // namespace tessera
