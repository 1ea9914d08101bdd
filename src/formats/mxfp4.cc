// MXFP4, 17 bytes for 32 elements: one E8M0 scale (a power of two); 16 bytes of E2M1 codes.
// Source: OCP Microscaling Formats (MX) specification 1.0; nibble order as in ggml (element i in
// the low half of byte i, element i + 16 in the high half).
//
// Levels are counted in halves (e2m1.h), so the scale in the formula is half of the
// specification's: x = 2^(e - 128) * level[q].
// The specification makes e = 255 a NaN. ggml decodes it as 2^127, and so do we; we never write it.
#include <cmath>

#include "formats/bit_fields.h"
#include "formats/block_codec.h"
#include "formats/e2m1.h"
#include "formats/format.h"
#include "formats/scale_search.h"

namespace tessera {
namespace {

float scale_of(int e) {
  return std::ldexp(1.0f, e - 128);
}

// Scales are powers of two, so there are only a few to try: those that put the largest element
// between half of the top level and twice of it (clipped).
int best_exponent(const BlockInput<32>& in) {
  const float largest = std::fabs(largest_magnitude<32>(in.x));
  if (largest == 0) return 0;
  int exponent;
  std::frexp(largest, &exponent);  // largest < 2^exponent
  // Work on values around 1: squares of the originals could overflow or vanish.
  alignas(16) float x[32];
  for (int i = 0; i < 32; ++i) x[i] = std::ldexp(in.x[i], -exponent);
  int best = 0;
  float best_error = INFINITY;
  for (int shift = -5; shift <= -2; ++shift) {  // the scale is 2^(exponent + shift)
    const float error = moments<32>(kE2M1Levels, x, in.weight, std::ldexp(1.0f, shift), 0).rr;
    const int e = std::clamp(exponent + shift + 128, 0, 254);
    if (error < best_error) {
      best_error = error;
      best = e;
    }
  }
  return best;
}

void split(const uint8_t* block, BlockParts& parts) {
  parts.d = block[0];
  split_nibbles(block + 1, parts.codes);
}

void join(const BlockParts& parts, uint8_t* block) {
  block[0] = static_cast<uint8_t>(parts.d);
  join_nibbles(parts.codes, block + 1);
}

void encode_mxfp4(std::span<const float> src, std::byte* dst, std::span<const float> importance) {
  encode_blocks<32, 17>("MXFP4", 0x1.8p127f, src, dst, importance,
                        [](const BlockInput<32>& in, uint8_t* block) {
                          const int e = best_exponent(in);
                          const Coder coder(kE2M1Levels, scale_of(e), 0);
                          BlockParts parts;
                          parts.d = static_cast<uint16_t>(e);
                          for (int i = 0; i < 32; ++i) parts.codes[i] = e2m1_code(coder(in.x[i]));
                          join(parts, block);
                        });
}

constexpr QuantizedBlock kBlock = {.code_bits = 4,
                                   .levels = kE2M1Halves.data(),
                                   .group = 32,
                                   .scaling = BlockScaling::kE8M0,
                                   .split = split,
                                   .join = join};

}  // namespace

constinit const Format kMXFP4 = {.name = "MXFP4",
                                 .block_elements = 32,
                                 .block_bytes = 17,
                                 .quantized = &kBlock,
                                 .encode = encode_mxfp4};

}  // namespace tessera
