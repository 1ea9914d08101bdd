// Q1_0 and Q2_0: an f16 scale and codes of 1 or 2 bits, element after element from the lowest bit
// of the first byte up.
//
//   Q1_0, 18 bytes for 128 elements: f16 d; 16 bytes of codes.  x = d if the bit is set, else -d
//   Q2_0, 18 bytes for 64 elements: f16 d; 16 bytes of codes.   x = d * (q - 1), q = 0 .. 3
//
// Source: dequantize_row_q1_0 and dequantize_row_q2_0 in ggml-quants.c.
#include "formats/bit_fields.h"
#include "formats/format.h"

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

constinit const Format kQ1_0 = {
    .name = "Q1_0", .block_elements = 128, .block_bytes = 18, .quantized = &kBlock1};
constinit const Format kQ2_0 = {
    .name = "Q2_0", .block_elements = 64, .block_bytes = 18, .quantized = &kBlock2};

}  // namespace tessera
