// Round to nearest as it is taught: no search, the scale of a group is what its largest weights ask
// for. The field's baselines, to tell what a search gains.
//
//   absmax      w ~ s q,      s = max |w| / the largest level   (Q4_0: 7, Q8_0: 127, NF4: 1)
//   zero-point  w ~ s q + m,  s = (max w - min w) / the last code, m = min w   (Q4_1, Q5_1)
//
// For formats whose blocks are one group: scales of groups that share others have to be searched.
#include <algorithm>
#include <cmath>
#include <vector>

#include "base/half.h"
#include "compress/methods/method.h"
#include "formats/f16_field.h"

namespace tessera {
namespace {

bool is_one_group(const Format& format) {
  const QuantizedBlock* block = format.quantized;
  return block != nullptr && block->join != nullptr &&
         (block->scaling == BlockScaling::kF16 || block->scaling == BlockScaling::kF32);
}
bool is_symmetric(const Format& format) {
  return is_one_group(format) && !format.quantized->has_min && !format.quantized->has_zero;
}
bool is_asymmetric(const Format& format) {
  return is_one_group(format) && (format.quantized->has_min || format.quantized->has_zero);
}

class MinMaxRows final : public RowEncoder {
 public:
  explicit MinMaxRows(const Format& format) : format_(format), block_(*format.quantized) {
    for (int code = block_.lowest_code; code <= block_.last_code(); ++code)
      highest_ = std::max(highest_, level(code));  // a NaN, which some floats of 8 bits are, is not
  }

  void encode(std::span<const float> rows, size_t, std::byte* out) const override {
    const size_t size = format_.block_elements;
    BlockParts parts{};
    for (size_t first = 0; first < rows.size(); first += size, out += format_.block_bytes) {
      const auto weights = rows.subspan(first, size);
      set_scale(weights, parts);
      const GroupScale by = group_scale(block_, parts, 0);
      for (size_t i = 0; i < size; ++i) parts.codes[i] = nearest(weights[i], by, parts.zero);
      std::fill_n(out, format_.block_bytes, std::byte{0});
      block_.join(parts, reinterpret_cast<uint8_t*>(out));
    }
  }

 private:
  float level(int code) const {
    return block_.levels != nullptr   ? block_.levels[code]
           : block_.values != nullptr ? block_.values[code]
                                      : static_cast<float>(code - block_.zero_point);
  }

  void set_scale(std::span<const float> weights, BlockParts& parts) const {
    const auto [least, most] = std::ranges::minmax(weights);
    float scale = 0, min = 0;
    if (block_.has_min || block_.has_zero) {
      const float low = block_.has_zero ? std::min(least, 0.0f) : least;  // zeros lie in the range
      const float high = block_.has_zero ? std::max(most, 0.0f) : most;
      scale = (high - low) / static_cast<float>(block_.last_code());
      min = low;
    } else {
      scale = std::max(-least, most) / highest_;
    }
    scale /= block_.unit;
    if (block_.has_zero) {
      // One of the codes, and not the first: see grouped_encode.h.
      const float zero = scale > 0 ? std::nearbyint(-min / scale) : 1.0f;
      const auto last = static_cast<float>(block_.last_code());
      parts.zero = static_cast<uint8_t>(std::clamp(zero, 1.0f, last));
    }
    if (block_.scaling == BlockScaling::kF32) {
      parts.scale = scale;
      parts.min = min;
    } else {
      parts.d = f32_to_f16(round_scale_f16(scale));
      parts.m = f32_to_f16(round_offset_f16(min));
    }
  }

  uint8_t nearest(float weight, GroupScale by, int zero) const {
    const int first = block_.lowest_code, last = block_.last_code();
    const float scale = by.scale * block_.unit;
    if (block_.levels == nullptr && block_.values == nullptr) {
      const int offset = block_.has_zero ? zero : block_.zero_point;
      const float steps = scale == 0 ? 0.0f : (weight - by.min) / scale;
      const float code = std::nearbyint(steps) + static_cast<float>(offset);
      return static_cast<uint8_t>(
          std::clamp(code, static_cast<float>(first), static_cast<float>(last)));
    }
    int best = first;
    for (int code = first + 1; code <= last; ++code) {
      if (std::fabs(scale * level(code) - weight) < std::fabs(scale * level(best) - weight))
        best = code;
    }
    return static_cast<uint8_t>(best);
  }

  const Format& format_;
  const QuantizedBlock& block_;
  float highest_ = 0;  // level
};

template <bool (*kTakes)(const Format&)>
std::unique_ptr<RowEncoder> without_text(const Format& format, std::span<const float>,
                                         const MethodOptions&) {
  if (!kTakes(format)) return round_to_nearest(format);
  return std::make_unique<MinMaxRows>(format);
}

}  // namespace

constinit const Method kAbsmax = {
    .name = "absmax", .takes = is_symmetric, .without_text = without_text<is_symmetric>};
constinit const Method kZeroPoint = {
    .name = "zeropoint", .takes = is_asymmetric, .without_text = without_text<is_asymmetric>};

}  // namespace tessera
