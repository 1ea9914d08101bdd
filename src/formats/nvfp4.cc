// NVFP4, 36 bytes for 64 elements in 4 groups of 16: a scale of 7 bits for each group, a float of 4
// exponent and 3 mantissa bits; 32 bytes of E2M1 codes, 8 a group: byte i holds elements i (low
// half) and i + 8 (high half).
//
// Levels are counted in halves (e2m1.h): x = scale / 2 * level[q]. A scale of 0x7f is zero, as in
// ggml (dequantize_row_nvfp4, ggml_ue4m3_to_fp32). A file may have a factor for the whole tensor
// beside it (files/gguf/compound_tensors.h); without one a group's largest value is 2688 at most,
// and groups of less than 6 * 2^-6 have scales of few bits.
#include <cmath>

#include "formats/bit_fields.h"
#include "formats/block_codec.h"
#include "formats/e2m1.h"
#include "formats/format.h"
#include "formats/scale_search.h"

namespace tessera {
namespace {

constexpr int kGroups = 4, kCodes = 4;
constexpr uint8_t kLargestScale = 0x7e;  // 448

void split(const uint8_t* block, BlockParts& parts) {
  for (int g = 0; g < kGroups; ++g) {
    parts.scales[g] = static_cast<int8_t>(block[g] == 0x7f ? 0 : block[g] & 0x7f);
    for (int i = 0; i < 8; ++i) {
      const uint8_t byte = block[kCodes + 8 * g + i];
      parts.codes[16 * g + i] = byte & 15;
      parts.codes[16 * g + i + 8] = byte >> 4;
    }
  }
}

// The scale below the one that puts the largest element on the highest level, and those around it:
// there are 8 to an octave.
uint8_t best_scale(const float* x, const float* weight) {
  const float largest = std::fabs(largest_magnitude<16>(x));
  uint8_t first = 0;
  while (first < kLargestScale && 8 * ue4m3_to_f32(first + 1) < largest) ++first;
  uint8_t best = 0;
  float best_error = moments<16>(kE2M1Levels, x, weight, 0, 0).rr;
  for (uint8_t scale = first; scale <= kLargestScale; ++scale) {
    const float value = ue4m3_to_f32(scale);
    const float error = moments<16>(kE2M1Levels, x, weight, value / 2, 0).rr;
    if (error < best_error) {
      best_error = error;
      best = scale;
    }
    if (3 * value > largest) break;
  }
  return best;
}

void encode_block(const BlockInput<64>& in, uint8_t* block) {
  for (int g = 0; g < kGroups; ++g) {
    const float* x = in.x + 16 * g;
    block[g] = best_scale(x, in.weight + 16 * g);
    const Coder coder(kE2M1Levels, ue4m3_to_f32(block[g]) / 2, 0);
    for (int i = 0; i < 8; ++i) {
      const uint8_t low = e2m1_code(coder(x[i])), high = e2m1_code(coder(x[i + 8]));
      block[kCodes + 8 * g + i] = static_cast<uint8_t>(low | (high << 4));
    }
  }
}

void encode_nvfp4(std::span<const float> src, std::byte* dst, std::span<const float> importance) {
  encode_blocks<64, 36>("NVFP4", 448 * 6.0f, src, dst, importance, encode_block);
}

constexpr QuantizedBlock kBlock = {.code_bits = 4,
                                   .levels = kE2M1Halves.data(),
                                   .group = 16,
                                   .scaling = BlockScaling::kE4M3,
                                   .unit = 0.5f,
                                   .split = split};

}  // namespace

constinit const Format kNVFP4 = {.name = "NVFP4",
                                 .block_elements = 64,
                                 .block_bytes = 36,
                                 .quantized = &kBlock,
                                 .encode = encode_nvfp4};

}  // namespace tessera
