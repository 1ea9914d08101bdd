#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "train/curves.cc"
#include "base/simd/simd_targets.h"
//
#include <hwy/foreach_target.h>

#include "base/simd/math-inl.h"
#include "base/simd/simd.h"
//
#include "train/curves.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"

HWY_BEFORE_NAMESPACE();
namespace tessera::train::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using tessera::HWY_NAMESPACE::exp_approx;
using tessera::HWY_NAMESPACE::tanh_approx;

using DF = hn::ScalableTag<float>;
using V = hn::Vec<DF>;
constexpr size_t kLanes = hn::MaxLanes(DF());

float largest_kernel(const float* x, size_t count) {
  const DF df;
  float most = x[0];
  size_t i = 0;
  if (count >= kLanes) {
    auto all = hn::LoadU(df, x);
    for (i = kLanes; i + kLanes <= count; i += kLanes) all = hn::Max(all, hn::LoadU(df, x + i));
    most = hn::GetLane(hn::MaxOfLanes(df, all));
  }
  for (; i < count; ++i) most = std::max(most, x[i]);
  return most;
}

float exponentials_kernel(const float* x, size_t count, float most, float* out) {
  const DF df;
  const auto shift = hn::Set(df, most);
  auto sums = hn::Zero(df);
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const auto e = exp_approx(df, hn::Sub(hn::LoadU(df, x + i), shift));
    hn::StoreU(e, df, out + i);
    sums = hn::Add(sums, e);
  }
  float sum = hn::GetLane(hn::SumOfLanes(df, sums));
  for (; i < count; ++i) sum += out[i] = std::exp(x[i] - most);
  return sum;
}

// Calls curve(x, value, slope) on vectors; the rest of x goes through a buffer.
template <class Curve>
void apply(const float* x, size_t count, float* values, float* slopes, Curve curve) {
  const DF df;
  V value, slope;
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    curve(hn::LoadU(df, x + i), value, slope);
    if (values != nullptr) hn::StoreU(value, df, values + i);
    if (slopes != nullptr) hn::StoreU(slope, df, slopes + i);
  }
  if (i == count) return;
  HWY_ALIGN float rest[kLanes] = {};
  std::copy(x + i, x + count, rest);
  curve(hn::Load(df, rest), value, slope);
  hn::Store(value, df, rest);
  if (values != nullptr) std::copy_n(rest, count - i, values + i);
  hn::Store(slope, df, rest);
  if (slopes != nullptr) std::copy_n(rest, count - i, slopes + i);
}

HWY_INLINE V sigmoid(V x) {
  const DF df;
  const auto one = hn::Set(df, 1.0f);
  return hn::Div(one, hn::Add(one, exp_approx(df, hn::Neg(x))));
}

void silu_kernel(const float* x, size_t count, float* values, float* slopes) {
  const auto one = hn::Set(DF(), 1.0f);
  apply(x, count, values, slopes, [&](V v, V& value, V& slope) {
    const auto s = sigmoid(v);
    value = hn::Mul(v, s);
    slope = hn::Mul(s, hn::MulAdd(v, hn::Sub(one, s), one));
  });
}

void sigmoid_kernel(const float* x, size_t count, float* values, float* slopes) {
  const auto one = hn::Set(DF(), 1.0f);
  apply(x, count, values, slopes, [&](V v, V& value, V& slope) {
    value = sigmoid(v);
    slope = hn::Mul(value, hn::Sub(one, value));
  });
}

void gelu_kernel(const float* x, size_t count, float* values, float* slopes) {
  const DF df;
  const auto one = hn::Set(df, 1.0f), half = hn::Set(df, 0.5f);
  const auto root = hn::Set(df, 0.79788456080286535588f), cubic = hn::Set(df, 0.044715f);
  apply(x, count, values, slopes, [&](V v, V& value, V& slope) {
    const auto square = hn::Mul(v, v);
    const auto t = tanh_approx(df, hn::Mul(root, hn::MulAdd(hn::Mul(cubic, square), v, v)));
    const auto share = hn::Mul(half, hn::Add(one, t));
    value = hn::Mul(v, share);
    const auto inner = hn::Mul(root, hn::MulAdd(hn::Set(df, 3 * 0.044715f), square, one));
    const auto bend = hn::Mul(half, hn::NegMulAdd(t, t, one));
    slope = hn::MulAdd(hn::Mul(v, bend), inner, share);
  });
}

}  // namespace tessera::train::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tessera::train {
namespace {

HWY_EXPORT(largest_kernel);
HWY_EXPORT(exponentials_kernel);
HWY_EXPORT(silu_kernel);
HWY_EXPORT(sigmoid_kernel);
HWY_EXPORT(gelu_kernel);

struct Point {
  double value, slope;
};

Point plain_curve(Activation activation, double x) {
  if (activation == Activation::kRelu) return {std::max(x, 0.0), x > 0 ? 1.0 : 0.0};
  if (activation == Activation::kSquaredRelu)
    return {std::max(x, 0.0) * std::max(x, 0.0), 2 * std::max(x, 0.0)};
  if (activation == Activation::kGeluErf) {
    const double share = 0.5 * std::erfc(-x / std::numbers::sqrt2);
    const double density = std::exp(-0.5 * x * x) * std::numbers::inv_sqrtpi / std::numbers::sqrt2;
    return {x * share, share + x * density};
  }
  return {x, 1};
}

}  // namespace

float largest(std::span<const float> x) {
  return HWY_DYNAMIC_DISPATCH(largest_kernel)(x.data(), x.size());
}

float exponentials(std::span<const float> x, float most, float* out) {
  return HWY_DYNAMIC_DISPATCH(exponentials_kernel)(x.data(), x.size(), most, out);
}

void require_slope(Activation activation) {
  if (activation == Activation::kClampedSilu)
    fail("training does not support the activation of this family: it has no gradient for it");
}

void activate(Activation activation, std::span<const float> x, float* values, float* slopes) {
  if (activation == Activation::kSilu)
    return HWY_DYNAMIC_DISPATCH(silu_kernel)(x.data(), x.size(), values, slopes);
  if (activation == Activation::kGelu)
    return HWY_DYNAMIC_DISPATCH(gelu_kernel)(x.data(), x.size(), values, slopes);
  if (activation == Activation::kSigmoid)
    return HWY_DYNAMIC_DISPATCH(sigmoid_kernel)(x.data(), x.size(), values, slopes);
  for (size_t i = 0; i < x.size(); ++i) {
    const Point point = plain_curve(activation, static_cast<double>(x[i]));
    if (values != nullptr) values[i] = static_cast<float>(point.value);
    if (slopes != nullptr) slopes[i] = static_cast<float>(point.slope);
  }
}

}  // namespace tessera::train
#endif
