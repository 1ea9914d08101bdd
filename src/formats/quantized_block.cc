#include "formats/quantized_block.h"

#include <cmath>

#include "base/half.h"

namespace tessera {
namespace {

void decode_group(const QuantizedBlock& block, GroupScale by, int zero, const uint8_t* codes,
                  float* x) {
  const int mask = (1 << block.code_bits) - 1;
  const float scale = block.unit * by.scale;
  for (int i = 0; i < block.group; ++i) {
    const int code = codes[i] & mask;
    if (block.values != nullptr) {
      x[i] = scale * block.values[code];
    } else {
      x[i] = scale * static_cast<float>(block.levels != nullptr ? block.levels[code] : code - zero);
    }
  }
  if (!block.has_min) return;  // adding zero would lose the sign of a zero
  for (int i = 0; i < block.group; ++i) x[i] += by.min;
}

}  // namespace

GroupScale group_scale(const QuantizedBlock& block, const BlockParts& parts, int group) {
  switch (block.scaling) {
    case BlockScaling::kF16:
      return {f16_to_f32(parts.d), block.has_min ? f16_to_f32(parts.m) : 0.0f};
    case BlockScaling::kF32:
      return {parts.scale, block.has_min ? parts.min : 0.0f};
    case BlockScaling::kE8M0:
      return {std::ldexp(1.0f, parts.d - 128), 0.0f};
    case BlockScaling::kE4M3:
      return {ue4m3_to_f32(static_cast<uint8_t>(parts.scales[group])), 0.0f};
    case BlockScaling::kTwoLevel:
      break;
  }
  const auto times = [](uint16_t f16, int8_t integer) {
    return f16_to_f32(f16) * static_cast<float>(integer);
  };
  return {times(parts.d, parts.scales[group]),
          block.has_min ? -times(parts.m, parts.mins[group]) : 0.0f};
}

float ue4m3_to_f32(uint8_t bits) {
  const int exponent = (bits >> 3) & 15, mantissa = bits & 7;
  return exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -9)
                       : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
}

void decode_quantized(const QuantizedBlock& block, int block_elements, size_t block_bytes,
                      const std::byte* src, std::span<float> dst) {
  BlockParts parts;
  for (size_t at = 0; at < dst.size(); at += static_cast<size_t>(block_elements)) {
    block.split(reinterpret_cast<const uint8_t*>(src), parts);
    for (int first = 0; first < block_elements; first += block.group) {
      decode_group(block, group_scale(block, parts, first / block.group),
                   block.has_zero ? parts.zero : block.zero_point, parts.codes + first,
                   dst.data() + at + first);
    }
    src += block_bytes;
  }
}

}  // namespace tessera
