// What a block of a quantized format is made of: codes, scales, minimums.
//
// The elements of a block form groups, of 16, 32, ... consecutive ones, and within a group
//
//   x = scale * (code - zero_point) [+ min]     or, by a codebook,     x = scale * levels[code]
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
  kE8M0,      // the block is one group: scale 2^(d - 128), a power of two; no min
  kTwoLevel,  // scale d * scales[group], min -m * mins[group]: two f16 for all integers of a block
};

inline constexpr int kMostBlockElements = 256;

// A block taken apart. Of the scales, only what the format's BlockScaling names is set.
struct BlockParts {
  uint8_t codes[kMostBlockElements];
  uint16_t d, m;  // bits of an f16; kE8M0: d is the exponent
  int8_t scales[16], mins[16];
};

struct QuantizedBlock {
  int code_bits;                   // codes are less than 2^code_bits; at most 8
  int zero_point = 0;              // the code of zero
  const int8_t* levels = nullptr;  // of a codebook: 2^code_bits values, and no zero point

  int group;  // elements that share a scale: at least 16
  BlockScaling scaling;
  bool has_min = false;
  // kTwoLevel: scales are signed integers of so many bits; beside mins, both are unsigned.
  int scale_bits = 0;

  void (*split)(const uint8_t* block, BlockParts& parts) = nullptr;
};

// Decodes the blocks of `block_bytes` bytes, each of `block_elements` elements, that fill dst.
// The products of scales are exact in f32; one rounding for scale * (code - zero_point), one for
// + min.
void decode_quantized(const QuantizedBlock& block, int block_elements, size_t block_bytes,
                      const std::byte* src, std::span<float> dst);

}  // namespace tessera
