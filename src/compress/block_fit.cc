#include "compress/block_fit.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/half.h"
#include "compress/dense.h"
#include "formats/f16_field.h"
#include "formats/grouped.h"

namespace tessera {
namespace {

constexpr int kRounds = 3, kRefineRounds = 2;

}  // namespace

BlockFit::BlockFit(const Format& format, const RowEncoder* grid)
    : format_(format),
      grid_(grid),
      block_(*format.quantized),
      size_(format.block_elements),
      shares_scales_(shares_scales(format)),
      zero_(block_.zero_point) {
  if (block_.join == nullptr || format.encode == nullptr)
    fail("{} has no blocks that codes can be chosen for", format.name);
  for (auto* vector : {&scale_, &min_, &values_, &gradient_, &work_, &by_scale_, &by_min_,
                       &s_by_scale_, &s_by_min_, &settled_}) {
    vector->resize(size_);
  }
  if (block_.values != nullptr) floats_.emplace(block_.values, block_.code_bits);
}

void BlockFit::read_scales() {
  if (block_.has_zero) zero_ = parts_.zero;
  const auto group = static_cast<size_t>(block_.group);
  for (size_t first = 0; first < size_; first += group) {
    const GroupScale by = group_scale(block_, parts_, static_cast<int>(first / group));
    std::fill_n(scale_.begin() + static_cast<ptrdiff_t>(first), group, block_.unit * by.scale);
    std::fill_n(min_.begin() + static_cast<ptrdiff_t>(first), group, by.min);
  }
}

float BlockFit::value(size_t k, int code) const {
  const float level = block_.levels != nullptr   ? block_.levels[code]
                      : block_.values != nullptr ? block_.values[code]
                                                 : static_cast<float>(code - zero_);
  return scale_[k] * level + min_[k];
}

int BlockFit::nearest(size_t k, float v) const {
  if (!zeros_.empty() && zeros_[k] != 0) v = 0;
  const int lowest = block_.lowest_code, last = block_.last_code();
  if (block_.levels == nullptr && block_.values == nullptr) {
    if (scale_[k] == 0) return std::clamp(zero_, lowest, last);
    const float code = (v - min_[k]) / scale_[k] + static_cast<float>(zero_);
    const float within = std::clamp(code, static_cast<float>(lowest), static_cast<float>(last));
    constexpr float kWhole = 0x1.8p23f;  // whose neighbours are whole numbers: rounds to even
    return static_cast<int>(within + kWhole - kWhole);
  }
  if (floats_) return floats_->nearest(scale_[k] == 0 ? 0.0f : v / scale_[k]);
  int best = lowest;
  float best_distance = INFINITY;
  for (int code = lowest; code <= last; ++code) {
    const float distance = std::fabs(value(k, code) - v);
    if (distance < best_distance) {
      best_distance = distance;
      best = code;
    }
  }
  return best;
}

void BlockFit::set_codes() {
  for (size_t k = 0; k < size_; ++k) values_[k] = value(k, parts_.codes[k]);
}

double BlockFit::error() {
  for (size_t k = 0; k < size_; ++k) work_[k] = target_[k] - values_[k];
  return dot(work_, gradient_);
}

void BlockFit::round_with_feedback() {
  const auto order = metric_->order;
  for (size_t i = 0; i < size_; ++i) work_[i] = target_[order[i]];
  for (size_t i = 0; i < size_; ++i) {
    const size_t k = order[i];
    const int code = nearest(k, work_[i]);
    parts_.codes[k] = static_cast<uint8_t>(code);
    values_[k] = value(k, code);
    add_scaled(target_[k] - values_[k], metric_->u + i * metric_->stride + i + 1,
               std::span(work_).subspan(i + 1));
  }
}

// The block's scale (and min) as floats, all else as it is.
void BlockFit::solve_floats() {
  const bool two_level = block_.scaling == BlockScaling::kTwoLevel;
  const bool f32 = block_.scaling == BlockScaling::kF32 && !block_.has_min;
  if (shares_scales_ || !(two_level || f32 || block_.scaling == BlockScaling::kF16)) return;
  const float d = f32 ? parts_.scale : f16_to_f32(parts_.d),
              m = block_.has_min ? f16_to_f32(parts_.m) : 0.0f;
  if (d == 0 || (block_.has_min && two_level && m == 0)) return;
  for (size_t k = 0; k < size_; ++k) {
    by_scale_[k] = (values_[k] - min_[k]) / d;
    by_min_[k] = !block_.has_min ? 0.0f : two_level ? min_[k] / m : 1.0f;
  }
  // gradient_ = S (target - values), so these are the steps from where we are.
  double aa = 0, ab = 0, bb = 0;
  // S values is known, and minimums are alike within parts: no products with S are left to do.
  std::ranges::fill(s_by_min_, 0.0f);
  for (size_t part = 0; block_.has_min && part * BlockMetric::kPart < size_; ++part)
    add_scaled(by_min_[part * BlockMetric::kPart], metric_->parts + part * size_, s_by_min_);
  for (size_t k = 0; k < size_; ++k)
    s_by_scale_[k] = (settled_[k] - gradient_[k] - m * s_by_min_[k]) / d;
  aa = dot(by_scale_, s_by_scale_);
  if (block_.has_min) {
    ab = dot(by_min_, s_by_scale_);
    bb = dot(by_min_, s_by_min_);
  }
  const double ga = dot(by_scale_, gradient_), gb = dot(by_min_, gradient_);
  const double determinant = aa * bb - ab * ab;
  double step_d = aa > 0 ? ga / aa : 0, step_m = 0;
  if (block_.has_min && determinant > 1e-6 * aa * bb) {
    step_d = (ga * bb - gb * ab) / determinant;
    step_m = (gb * aa - ga * ab) / determinant;
  }
  const float stepped = d + static_cast<float>(step_d);
  const float new_d = f32 ? stepped : round_scale_f16(stepped);
  const float new_m = two_level ? round_scale_f16(m + static_cast<float>(step_m))
                                : round_offset_f16(m + static_cast<float>(step_m));
  // The encoders' signs stay: kernels may count on them.
  if (new_d * d <= 0 || (two_level && block_.has_min && new_m * m <= 0)) return;
  const double by_d = static_cast<double>(new_d) - d, by_m = static_cast<double>(new_m) - m;
  const double change =
      -2 * (by_d * ga + by_m * gb) + by_d * by_d * aa + 2 * by_d * by_m * ab + by_m * by_m * bb;
  if (!(change < 0)) return;
  if (f32) {
    parts_.scale = new_d;
  } else {
    parts_.d = f32_to_f16(new_d);
  }
  add_scaled(static_cast<float>(-by_d), s_by_scale_.data(), gradient_);
  if (block_.has_min) {
    parts_.m = f32_to_f16(new_m);
    add_scaled(static_cast<float>(-by_m), s_by_min_.data(), gradient_);
  }
  read_scales();
  set_codes();
}

// Integer scales and mins, one step up or down.
void BlockFit::step_scales() {
  if (block_.scaling != BlockScaling::kTwoLevel) return;
  const auto group = static_cast<size_t>(block_.group);
  const int most =
                block_.has_min ? (1 << block_.scale_bits) - 1 : (1 << (block_.scale_bits - 1)) - 1,
            least = block_.has_min ? 0 : -most - 1;
  const float d = f16_to_f32(parts_.d), m = f16_to_f32(parts_.m);
  for (size_t first = 0; first < size_; first += group) {
    const auto g = first / group;
    for (int8_t* integers : {parts_.scales, parts_.mins}) {
      if (integers == parts_.mins && !block_.has_min) continue;
      // What one step adds to the values.
      const auto step = std::span(work_).first(group);
      for (size_t i = 0; i < group; ++i) {
        const size_t k = first + i;
        const int code = parts_.codes[k];
        const float level =
            block_.levels != nullptr ? block_.levels[code] : static_cast<float>(code - zero_);
        step[i] = integers == parts_.mins ? -m : d * level;
      }
      const float linear = dot(step, std::span(gradient_).subspan(first, group));
      const float square = quadratic({metric_->s + first * size_ + first, size_}, step);
      const int sign = linear > 0 ? 1 : -1, next = integers[g] + sign;
      if (next < least || next > most || !(square - 2 * std::fabs(linear) < 0)) continue;
      integers[g] = static_cast<int8_t>(next);
      for (size_t i = 0; i < group; ++i) {
        const float by = static_cast<float>(sign) * step[i];
        add_scaled(-by, metric_->s + (first + i) * size_, gradient_);
      }
    }
  }
  read_scales();
  set_codes();
}

void BlockFit::step_codes() {
  for (size_t k = 0; k < size_; ++k) {
    const float* row = metric_->s + k * size_;
    const int code = nearest(k, values_[k] + gradient_[k] / row[k]);
    if (code == parts_.codes[k]) continue;
    const float v = value(k, code), by = v - values_[k];
    if (!(by * (by * row[k] - 2 * gradient_[k]) < 0)) continue;
    parts_.codes[k] = static_cast<uint8_t>(code);
    values_[k] = v;
    add_scaled(-by, row, gradient_);
  }
}

void BlockFit::improve() {
  if (grid_ == nullptr) {
    solve_floats();
    step_scales();
  }
  step_codes();
}

void BlockFit::write(const BlockParts& parts, std::byte* out, std::span<float> values) const {
  auto* bytes = reinterpret_cast<uint8_t*>(out);
  if (!shares_scales_)
    std::fill_n(bytes, format_.block_bytes, uint8_t{0});  // else they stay as settled
  block_.join(parts, bytes);
  format_.decode(out, values);
}

void BlockFit::fit(std::span<const float> target, const BlockMetric& metric, std::byte* out,
                   std::span<float> values, std::span<const uint8_t> zeros) {
  target_ = target;
  zeros_ = zeros;
  metric_ = &metric;
  std::ranges::copy(target, work_.begin());
  for (size_t k = 0; k < zeros.size(); ++k) work_[k] = zeros[k] != 0 ? 0.0f : target[k];
  if (grid_ != nullptr) {
    grid_->encode(work_, 1, out);
  } else {
    format_.encode(work_, out, metric.importance);
  }
  block_.split(reinterpret_cast<const uint8_t*>(out), parts_);
  read_scales();
  round_with_feedback();
  for (size_t k = 0; k < size_; ++k) work_[k] = target_[k] - values_[k];
  multiply_symmetric(metric.s, work_, gradient_);
  multiply_symmetric(metric.s, values_, settled_);
  for (size_t k = 0; k < size_; ++k) settled_[k] += gradient_[k];
  double now = error();
  BlockParts best = parts_;
  double best_error = now;
  for (int round = 0; round < kRounds; ++round) {
    improve();
    now = error();
    if (!(now < best_error)) break;
    const bool settled = now > 0.999 * best_error;
    best_error = now;
    best = parts_;
    if (settled) break;
  }
  write(best, out, values);
}

void BlockFit::refine(std::span<const float> gradient, const BlockMetric& metric, std::byte* block,
                      std::span<float> values, std::span<const uint8_t> zeros) {
  metric_ = &metric;
  zeros_ = zeros;
  std::ranges::copy(gradient, gradient_.begin());
  block_.split(reinterpret_cast<const uint8_t*>(block), parts_);
  read_scales();
  set_codes();
  multiply_symmetric(metric.s, values_, settled_);
  for (size_t k = 0; k < size_; ++k) settled_[k] += gradient_[k];
  for (int round = 0; round < kRefineRounds; ++round) improve();
  write(parts_, block, values);
}

}  // namespace tessera
