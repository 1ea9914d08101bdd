#include "formats/quantized_block.h"

#include <cmath>

#include "base/half.h"

namespace tessera {
namespace {

struct GroupScale {
  float scale, min;
};

GroupScale group_scale(const QuantizedBlock& block, const BlockParts& parts, int group) {
  switch (block.scaling) {
    case BlockScaling::kF16:
      return {f16_to_f32(parts.d), block.has_min ? f16_to_f32(parts.m) : 0.0f};
    case BlockScaling::kE8M0:
      return {std::ldexp(1.0f, parts.d - 128), 0.0f};
    case BlockScaling::kTwoLevel:
      break;
  }
  const auto times = [](uint16_t f16, int8_t integer) {
    return f16_to_f32(f16) * static_cast<float>(integer);
  };
  return {times(parts.d, parts.scales[group]),
          block.has_min ? -times(parts.m, parts.mins[group]) : 0.0f};
}

void decode_group(const QuantizedBlock& block, GroupScale by, const uint8_t* codes, float* x) {
  for (int i = 0; i < block.group; ++i) {
    const int level =
        block.levels != nullptr ? block.levels[codes[i]] : codes[i] - block.zero_point;
    x[i] = by.scale * static_cast<float>(level);
  }
  if (!block.has_min) return;  // adding zero would lose the sign of a zero
  for (int i = 0; i < block.group; ++i) x[i] += by.min;
}

}  // namespace

void decode_quantized(const QuantizedBlock& block, int block_elements, size_t block_bytes,
                      const std::byte* src, std::span<float> dst) {
  BlockParts parts;
  for (size_t at = 0; at < dst.size(); at += static_cast<size_t>(block_elements)) {
    block.split(reinterpret_cast<const uint8_t*>(src), parts);
    for (int first = 0; first < block_elements; first += block.group) {
      decode_group(block, group_scale(block, parts, first / block.group), parts.codes + first,
                   dst.data() + at + first);
    }
    src += block_bytes;
  }
}

}  // namespace tessera
