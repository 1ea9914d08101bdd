#include "formats/same_grid.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>

#include "base/half.h"
#include "formats/f16_field.h"

namespace tessera {
namespace {

constexpr float kMostRounding = 1.0f / 64;

// Columns that share a step: value = step * (code - zero), or step * code + min.
struct Group {
  float step = 0, zero = 0, min = 0;
  std::span<const uint8_t> codes;
};

constexpr const Format* kTargets[] = {&kQ4_0, &kQ4_1, &kQ8_0, &kMXFP4, &kTQ2_0};

bool is_target(const Format& format) {
  return std::ranges::find(kTargets, &format) != std::end(kTargets);
}

// Do the floats of a source's codebook go by the codes of MXFP4?
bool is_e2m1(const QuantizedBlock& block) {
  if (block.values == nullptr || block.code_bits != 4) return false;
  for (int code = 0; code < 16; ++code) {
    if (2 * block.values[code] != static_cast<float>(kMXFP4.quantized->levels[code])) return false;
  }
  return true;
}

Group group_of(const QuantizedBlock& block, const BlockParts& parts) {
  Group group;
  const bool f32 = block.scaling == BlockScaling::kF32;
  group.step = f32 ? parts.scale : f16_to_f32(parts.d);
  group.zero = static_cast<float>(block.has_zero ? parts.zero : block.zero_point);
  if (block.has_min) group.min = f32 ? parts.min : f16_to_f32(parts.m);
  return group;
}

float rounding_of(float value) {
  return std::fabs(f16_to_f32(f32_to_f16(value)) - value);
}

// One block of the target from codes of one group; the rounding, as copy_codes has it.
std::optional<float> write_block(const Group& group, const QuantizedBlock& from,
                                 const Format& target, uint8_t* out) {
  const QuantizedBlock& to = *target.quantized;
  const float shift = to.has_min ? 0 : static_cast<float>(to.zero_point) - group.zero;
  const float min = from.has_min ? group.min : -group.step * group.zero;
  if (!to.has_min && from.has_min && group.min != 0) return std::nullopt;
  const bool floats = to.levels != nullptr;
  BlockParts parts;
  for (size_t i = 0; i < group.codes.size(); ++i) {
    const float code = static_cast<float>(group.codes[i]) + (floats ? 0 : shift);
    if (!(code >= static_cast<float>(to.lowest_code) && code <= static_cast<float>(to.last_code())))
      return std::nullopt;
    parts.codes[i] = static_cast<uint8_t>(code);
  }
  float rounding = 0;
  if (to.scaling == BlockScaling::kE8M0) {
    int exponent;
    if (!(group.step > 0) || std::frexp(group.step, &exponent) != 0.5f || exponent < -126 ||
        exponent > 127)
      return std::nullopt;
    // step = 2^(exponent - 1), and levels count halves
    parts.d = static_cast<uint16_t>(exponent - 1 + 127);
  } else if (group.step != 0) {
    // A step's error counts for each code away from zero.
    const float most = static_cast<float>(to.last_code() - to.lowest_code);
    rounding = rounding_of(group.step) / std::fabs(group.step) * most;
    if (to.has_min) rounding += rounding_of(min) / std::fabs(group.step);
  }
  if (!(rounding <= kMostRounding)) return std::nullopt;
  if (to.scaling != BlockScaling::kE8M0) parts.d = f32_to_f16(group.step);
  parts.m = f32_to_f16(min);
  std::fill_n(out, target.block_bytes, uint8_t{0});
  to.join(parts, out);
  return rounding;
}

}  // namespace

bool may_share_grid(const Format& from, const Format& to) {
  if (!is_target(to) || from.quantized == nullptr || &from == &to) return false;
  const QuantizedBlock &a = *from.quantized, &b = *to.quantized;
  if (a.scaling != BlockScaling::kF16 && a.scaling != BlockScaling::kF32) return false;
  if (a.group % b.group != 0 || a.unit != 1.0f) return false;
  if (b.levels != nullptr) return is_e2m1(a);
  return a.levels == nullptr && a.values == nullptr && (b.has_min || !a.has_min);
}

std::optional<float> copy_codes(const Format& from, const std::byte* src, uint64_t columns,
                                const Format& to, std::byte* dst) {
  if (!may_share_grid(from, to)) return std::nullopt;
  const auto* in = reinterpret_cast<const uint8_t*>(src);
  auto* out = reinterpret_cast<uint8_t*>(dst);
  float rounding = 0;
  BlockParts parts;
  for (uint64_t column = 0; column < columns; column += from.block_elements) {
    from.quantized->split(in, parts);
    in += from.block_bytes;
    Group group = group_of(*from.quantized, parts);
    for (uint32_t part = 0; part < from.block_elements; part += to.block_elements) {
      group.codes = {parts.codes + part, to.block_elements};
      const auto rounded = write_block(group, *from.quantized, to, out);
      if (!rounded) return std::nullopt;
      rounding = std::max(rounding, *rounded);
      out += to.block_bytes;
    }
  }
  return rounding;
}

}  // namespace tessera
