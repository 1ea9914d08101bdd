// HQQ, half-quadratic quantization (Badri & Shaji 2023, mobiusml.github.io/hqq_blog): the zero
// point of each group is moved to where the errors are small in the norm l_p, p = 0.7, under which
// a few large ones weigh little. No text is needed. Scales stay.
//
// Alternating: the errors e shrink to those that stand out (the proximal operator of l_p, of
// strength 1 / beta), and the zero point becomes the mean of what the others ask for; beta grows by
// kappa. The first zero point after which the mean error does not fall ends it: at most 20 times.
// The authors begin with scales from each group's minimum and maximum; here they are those of the
// format's encoder, which have the least squared error. So formats need minimums or zeros of their
// own (Q4_1, Q4_K, ...); others are rounded to nearest.
#include <algorithm>
#include <cmath>
#include <vector>

#include "base/half.h"
#include "compress/methods/method.h"
#include "formats/f16_field.h"

namespace tessera {
namespace {

constexpr int kIterations = 20;
constexpr double kP = 0.7, kBeta = 10, kKappa = 1.01;

// sign(x) max(0, |x| - |x|^(p - 1) / beta)
double shrink(double x, double beta) {
  const double magnitude = std::fabs(x);
  if (magnitude == 0) return 0;
  return std::copysign(std::max(0.0, magnitude - std::pow(magnitude, kP - 1) / beta), x);
}

// x = scale * (code - zero), code a whole number from 0 to `last`.
struct Grid {
  double scale, zero, last;

  double code(double x) const { return std::clamp(std::nearbyint(x / scale + zero), 0.0, last); }
  double nearest(double x) const { return scale * (code(x) - zero); }
};

double best_zero(std::span<const float> weights, Grid grid) {
  const auto n = static_cast<double>(weights.size());
  double beta = kBeta, best = grid.zero, least = INFINITY;
  for (int i = 0; i < kIterations; ++i) {
    double error = 0, sum = 0;
    for (const float weight : weights) {
      const auto w = static_cast<double>(weight);
      const double e = w - grid.nearest(w);
      error += std::fabs(e);
      sum += grid.code(w) - (w - shrink(e, beta)) / grid.scale;
    }
    if (!(error < least)) break;
    least = error;
    best = grid.zero;
    grid.zero = sum / n;
    beta *= kKappa;
  }
  return best;
}

// Sum of |x - its nearest|^p.
double lp_error(std::span<const float> weights, const Grid& grid) {
  double sum = 0;
  for (const float weight : weights) {
    const auto w = static_cast<double>(weight);
    sum += std::pow(std::fabs(w - grid.nearest(w)), kP);
  }
  return sum;
}

bool has_zeros(const Format& format) {
  const QuantizedBlock* block = format.quantized;
  return block != nullptr && (block->has_min || block->has_zero) && block->join != nullptr;
}

class HqqRows final : public RowEncoder {
 public:
  explicit HqqRows(const Format& format) : format_(format), block_(*format.quantized) {}

  void encode(std::span<const float> rows, size_t, std::byte* out) const override {
    const size_t size = format_.block_elements;
    for (size_t first = 0; first < rows.size(); first += size, out += format_.block_bytes)
      encode_block(rows.subspan(first, size), out);
  }

 private:
  void encode_block(std::span<const float> weights, std::byte* out) const {
    format_.encode(weights, out, {});
    BlockParts parts;
    block_.split(reinterpret_cast<const uint8_t*>(out), parts);
    for (int g = 0; g * block_.group < static_cast<int>(weights.size()); ++g) {
      const auto group = static_cast<size_t>(block_.group);
      move_zero(weights.subspan(static_cast<size_t>(g) * group, group), g, parts);
    }
    std::fill_n(out, format_.block_bytes, std::byte{0});
    block_.join(parts, reinterpret_cast<uint8_t*>(out));
  }

  double zero_of(int group, const BlockParts& parts) const {
    if (block_.has_zero) return parts.zero;
    const GroupScale by = group_scale(block_, parts, group);
    return block_.zero_point - static_cast<double>(by.min) / scale_of(by);
  }
  double scale_of(const GroupScale& by) const {
    return static_cast<double>(block_.unit) * static_cast<double>(by.scale);
  }

  void move_zero(std::span<const float> weights, int group, BlockParts& parts) const {
    const double scale = scale_of(group_scale(block_, parts, group));
    if (scale == 0) return;  // all of the group is its minimum
    const Grid before{scale, zero_of(group, parts), static_cast<double>(block_.last_code())};
    const BlockParts old = parts;
    set_zero(best_zero(weights, before), scale, group, parts);
    Grid grid = before;
    grid.zero = zero_of(group, parts);
    if (!(lp_error(weights, grid) < lp_error(weights, before))) {  // zeros are rounded, too
      parts = old;
      return;
    }
    uint8_t* codes = parts.codes + group * block_.group;
    for (const float w : weights)
      *codes++ = static_cast<uint8_t>(grid.code(static_cast<double>(w)));
  }

  // As near as the format can have it.
  void set_zero(double zero, double scale, int group, BlockParts& parts) const {
    if (block_.has_zero) {
      // One of the codes, and not the first: see grouped_encode.h.
      const double last = block_.last_code();
      parts.zero = static_cast<uint8_t>(std::clamp(std::nearbyint(zero), 1.0, last));
      return;
    }
    const double min = (block_.zero_point - zero) * scale;
    if (block_.scaling == BlockScaling::kF32) {  // HQQ's own, which keep the zero in f16
      const float kept = f16_to_f32(f32_to_f16(static_cast<float>(zero)));
      if (std::isfinite(kept)) parts.min = -kept * static_cast<float>(scale);
    } else if (block_.scaling == BlockScaling::kF16) {
      parts.m = f32_to_f16(round_offset_f16(static_cast<float>(min)));
    } else if (const double unit = static_cast<double>(f16_to_f32(parts.m)); unit != 0) {
      const double most = (1 << block_.scale_bits) - 1;
      parts.mins[group] = static_cast<int8_t>(std::clamp(std::nearbyint(-min / unit), 0.0, most));
    }
  }

  const Format& format_;
  const QuantizedBlock& block_;
};

std::unique_ptr<RowEncoder> without_text(const Format& format, std::span<const float>,
                                         const MethodOptions&) {
  if (!has_zeros(format)) return round_to_nearest(format);
  return std::make_unique<HqqRows>(format);
}

}  // namespace

constinit const Method kHqq = {.name = "hqq", .takes = has_zeros, .without_text = without_text};

}  // namespace tessera
