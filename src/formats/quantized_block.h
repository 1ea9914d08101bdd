// What a block of a quantized format is made of: codes, scales, zeros or minimums.
//
// The elements of a block form groups, of 16, 32, ... consecutive ones, and within a group
//
//   x = scale * (code - zero_point) [+ min]     x = scale * (code - zero), a zero for each group
//
// or, by a codebook of small integers or of floats,
//
//   x = scale * levels[code]                    x = scale * values[code]
//
// A format says once how its bytes fall apart into these parts (`split`). Decoding follows from
// that; a backend packs the parts into what its kernels read, and needs to know of no format.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace tessera {

// How a group's scale and min come from the parts of its block.
enum class BlockScaling : uint8_t {
  kF16,       // the block is one group: scale d, min m, both f16
  kF32,       // the block is one group: scale `scale`, min `min`
  kE8M0,      // the block is one group: scale 2^(d - 128), a power of two; no min
  kE4M3,      // scale the float of 7 bits scales[group] (ue4m3_to_f32); no min
  kTwoLevel,  // scale d * scales[group], min -m * mins[group]: two f16 for all integers of a block
};

inline constexpr int kMostBlockElements = 256;

// A block taken apart. Of the scales, only what the format's BlockScaling names is set.
struct BlockParts {
  uint8_t codes[kMostBlockElements];
  uint16_t d, m;  // bits of an f16; kE8M0: d is the exponent
  int8_t scales[16], mins[16];
  float scale, min;
  uint8_t zero;  // of the block's one group, if the format has_zero
};

struct QuantizedBlock {
  int code_bits;                   // codes are less than 2^code_bits; at most 8
  int zero_point = 0;              // the code of zero
  const int8_t* levels = nullptr;  // of a codebook: 2^code_bits values, and no zero point
  const float* values = nullptr;   // the same, of a codebook of floats

  int group;  // elements that share a scale: at least 16
  BlockScaling scaling;
  bool has_min = false;
  bool has_zero = false;  // kF16, kF32: instead of zero_point and min
  // kTwoLevel: scales are signed integers of so many bits; beside mins, both are unsigned.
  int scale_bits = 0;
  // What the scales of a format that counts in fractions are multiplied with: a power of two.
  float unit = 1.0f;

  void (*split)(const uint8_t* block, BlockParts& parts) = nullptr;
  // The inverse, for those who choose codes by themselves (GPTQ): writes all of a block that is
  // zeros. Its codes are `lowest_code` to `highest_code` (0: all there are), its scales such as the
  // format's encoder gives. nullptr: nobody does so with this format.
  void (*join)(const BlockParts& parts, uint8_t* block) = nullptr;
  int lowest_code = 0, highest_code = 0;

  int last_code() const { return highest_code > 0 ? highest_code : (1 << code_bits) - 1; }
};

// What a group of a block scales and adds: x = scale * (level of the code) + min.
struct GroupScale {
  float scale, min;
};
GroupScale group_scale(const QuantizedBlock& block, const BlockParts& parts, int group);

// A float of 4 exponent and 3 mantissa bits: an E4M3 without its sign. 127 is 480: formats that
// call it something else never hand it out.
float ue4m3_to_f32(uint8_t bits);

// Decodes the blocks of `block_bytes` bytes, each of `block_elements` elements, that fill dst.
// The products of scales are exact in f32; one rounding for scale * (code - zero), one for + min.
void decode_quantized(const QuantizedBlock& block, int block_elements, size_t block_bytes,
                      const std::byte* src, std::span<float> dst);

}  // namespace tessera
