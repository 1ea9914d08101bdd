// Q1_0 and Q2_0: an f16 scale and codes of 1 or 2 bits, element after element from the lowest bit
// of the first byte up.
//
//   Q1_0, 18 bytes for 128 elements: f16 d; 16 bytes of codes.  x = d if the bit is set, else -d
//   Q2_0, 18 bytes for 64 elements: f16 d; 16 bytes of codes.   x = d * (q - 1), q = 0 .. 3
//
// Source: dequantize_row_q1_0 and dequantize_row_q2_0 in ggml-quants.c.
#include <cmath>

#include "formats/bit_fields.h"
#include "formats/block_codec.h"
#include "formats/format.h"
#include "formats/scale_search.h"

namespace tessera {
namespace {

constexpr int kCodes = 2, kCodeBytes = 16;

// Bits count as codes 0 and 2, whose zero is 1.
void split_q1_0(const uint8_t* block, BlockParts& parts) {
  parts.d = load_u16(block);
  for (int i = 0; i < 8 * kCodeBytes; ++i) {
    parts.codes[i] = static_cast<uint8_t>(((block[kCodes + i / 8] >> (i % 8)) & 1) * 2);
  }
}

void split_q2_0(const uint8_t* block, BlockParts& parts) {
  parts.d = load_u16(block);
  for (int i = 0; i < 4 * kCodeBytes; ++i) {
    parts.codes[i] = (block[kCodes + i / 4] >> (i % 4 * 2)) & 3;
  }
}

// All values have the same magnitude, so the best one is their mean: no search.
void encode_block_q1_0(const BlockInput<128>& in, uint8_t* block) {
  float sum = 0, weight = 0, squares = 0;
  for (int i = 0; i < 128; ++i) {
    sum += in.weight[i] * std::fabs(in.x[i]);
    weight += in.weight[i];
    squares += in.weight[i] * in.x[i] * in.x[i];
  }
  const float d = round_scale_f16(sum < kNegligible ? 0.0f : sum / weight);
  // Where even the smallest f16 is worse than zeros, zeros it is.
  const float error = squares - 2 * d * sum + d * d * weight;
  store_f16(block, error <= squares ? d : 0.0f);
  for (int i = 0; i < 128; ++i) {
    if (in.x[i] >= 0) block[kCodes + i / 8] |= static_cast<uint8_t>(1 << (i % 8));
  }
}

constexpr IntegerLevels kLevels{-1, 2};
constexpr Candidates kCandidates{-0.4f, 1.6f, 21};

void encode_block_q2_0(const BlockInput<64>& in, uint8_t* block) {
  const float d = search_scale_f16<64>(kLevels, in.x, in.weight, kCandidates);
  const Coder coder(kLevels, d, 0);
  store_f16(block, d);
  for (int i = 0; i < 64; ++i) {
    block[kCodes + i / 4] |= static_cast<uint8_t>(coder(in.x[i]) << (i % 4 * 2));
  }
}

void encode_q1_0(std::span<const float> src, std::byte* dst, std::span<const float> importance) {
  encode_blocks<128, 18>("Q1_0", kF16Max, src, dst, importance, encode_block_q1_0);
}

void encode_q2_0(std::span<const float> src, std::byte* dst, std::span<const float> importance) {
  encode_blocks<64, 18>("Q2_0", 2 * kF16Max, src, dst, importance, encode_block_q2_0);
}

constexpr QuantizedBlock kBlock1 = {.code_bits = 2,
                                    .zero_point = 1,
                                    .group = 128,
                                    .scaling = BlockScaling::kF16,
                                    .split = split_q1_0};
constexpr QuantizedBlock kBlock2 = {.code_bits = 2,
                                    .zero_point = 1,
                                    .group = 64,
                                    .scaling = BlockScaling::kF16,
                                    .split = split_q2_0};

}  // namespace

constinit const Format kQ1_0 = {.name = "Q1_0",
                                .block_elements = 128,
                                .block_bytes = 18,
                                .quantized = &kBlock1,
                                .encode = encode_q1_0};
constinit const Format kQ2_0 = {.name = "Q2_0",
                                .block_elements = 64,
                                .block_bytes = 18,
                                .quantized = &kBlock2,
                                .encode = encode_q2_0};

}  // namespace tessera
