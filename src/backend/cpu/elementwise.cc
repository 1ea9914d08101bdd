// Operations that touch each element once. They are bound by memory (or, for exp and tanh, by some
// twenty instructions a vector), so all that matters is to use whole vectors, to go to other
// threads only when there is enough to do, and never to read twice.
//
// Order of operations: every element by itself, the same instructions wherever it lies in a vector
// (the rest of a row goes through a padded vector). The one reduction, a norm's sum of squares,
// runs over kSums vectors of partial sums in an order fixed by the number of columns.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/elementwise.cc"
#include "base/simd/simd_targets.h"
//
#include <hwy/foreach_target.h>

#include "base/simd/simd.h"
//
#include "backend/cpu/elementwise.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/assert.h"
#include "base/error.h"
#include "base/simd/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tessera::cpu::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using tessera::HWY_NAMESPACE::exp_approx, tessera::HWY_NAMESPACE::tanh_approx;

using DF = hn::ScalableTag<float>;
using VF = hn::Vec<DF>;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(DF()));

// The first `count` < kLanes elements; the others are 0.
HWY_INLINE VF load_rest(const float* x, int count) {
  HWY_ALIGN float padded[kLanes] = {};
  std::memcpy(padded, x, static_cast<size_t>(count) * sizeof(float));
  return hn::Load(DF(), padded);
}

HWY_INLINE void store_rest(VF v, float* x, int count) {
  HWY_ALIGN float padded[kLanes];
  hn::Store(v, DF(), padded);
  std::memcpy(x, padded, static_cast<size_t>(count) * sizeof(float));
}

// out[i] = f(x[i], y[i]). out may be x or y.
template <class F>
HWY_INLINE void for_each_pair(const float* x, const float* y, int count, float* out, F f) {
  const DF df;
  int i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    hn::StoreU(f(hn::LoadU(df, x + i), hn::LoadU(df, y + i)), df, out + i);
  }
  const int rest = count - i;
  if (rest > 0) store_rest(f(load_rest(x + i, rest), load_rest(y + i, rest)), out + i, rest);
}

// --- Norm

float sum_of_squares(const float* x, int count) {
  const DF df;
  constexpr int kSums = 4;
  VF sum0 = hn::Zero(df), sum1 = sum0, sum2 = sum0, sum3 = sum0;
  int i = 0;
  for (; i + kSums * kLanes <= count; i += kSums * kLanes) {
    const VF a = hn::LoadU(df, x + i), b = hn::LoadU(df, x + i + kLanes);
    const VF c = hn::LoadU(df, x + i + 2 * kLanes), d = hn::LoadU(df, x + i + 3 * kLanes);
    sum0 = hn::MulAdd(a, a, sum0);
    sum1 = hn::MulAdd(b, b, sum1);
    sum2 = hn::MulAdd(c, c, sum2);
    sum3 = hn::MulAdd(d, d, sum3);
  }
  for (; i < count; i += kLanes) {
    const VF a = i + kLanes <= count ? hn::LoadU(df, x + i) : load_rest(x + i, count - i);
    sum0 = hn::MulAdd(a, a, sum0);
  }
  return hn::GetLane(hn::SumOfLanes(df, hn::Add(hn::Add(sum0, sum1), hn::Add(sum2, sum3))));
}

void norm_group(const float* x, const float* weight, int count, float epsilon, float* out) {
  const float mean = sum_of_squares(x, count) / static_cast<float>(count);
  const VF scale = hn::Set(DF(), 1.0f / std::sqrt(mean + epsilon));
  for_each_pair(x, weight, count, out,
                [scale](VF v, VF w) HWY_ATTR { return hn::Mul(hn::Mul(v, scale), w); });
}

float sum_of(const float* x, int count) {
  const DF df;
  VF sum0 = hn::Zero(df), sum1 = sum0;
  int i = 0;
  for (; i + 2 * kLanes <= count; i += 2 * kLanes) {
    sum0 = hn::Add(sum0, hn::LoadU(df, x + i));
    sum1 = hn::Add(sum1, hn::LoadU(df, x + i + kLanes));
  }
  for (; i < count; i += kLanes) {
    const VF rest = i + kLanes <= count ? hn::LoadU(df, x + i) : load_rest(x + i, count - i);
    sum0 = hn::Add(sum0, rest);
  }
  return hn::GetLane(hn::SumOfLanes(df, hn::Add(sum0, sum1)));
}

// The mean goes first, so that the variance is a sum of squares that are not all nearly alike.
void layer_norm_row(const float* x, const float* weight, const float* bias, int count,
                    float epsilon, float* out) {
  const VF mean = hn::Set(DF(), sum_of(x, count) / static_cast<float>(count));
  for_each_pair(x, x, count, out, [mean](VF v, VF) HWY_ATTR { return hn::Sub(v, mean); });
  norm_group(out, weight, count, epsilon, out);
  if (bias == nullptr) return;
  for_each_pair(out, bias, count, out, [](VF v, VF b) HWY_ATTR { return hn::Add(v, b); });
}

// --- Rotary embedding

// cos and sin of position * frequency, times the magnitude. In doubles throughout: at position 10^6
// an f32 angle is off by 0.03. Reduction to |r| <= pi/4 with pi/2 in two parts, then Taylor.
void rotation_table(const Rope& rope, int32_t position, float* cosine, float* sine) {
  const hn::ScalableTag<double> dd;
  using VD = hn::Vec<decltype(dd)>;
  const int count = rope.dimensions / 2;
  constexpr int kDoubles = static_cast<int>(hn::MaxLanes(hn::ScalableTag<double>()));
  const auto set = [dd](double value) HWY_ATTR { return hn::Set(dd, value); };
  for (int i = 0; i < count; i += kDoubles) {
    HWY_ALIGN double lanes[kDoubles] = {};
    const int used = std::min(kDoubles, count - i);
    for (int j = 0; j < used; ++j) {
      lanes[j] = static_cast<double>(rope.frequency[static_cast<size_t>(i + j)]) * position;
    }
    const VD angle = hn::Load(dd, lanes);
    const VD quarter = hn::Round(hn::Mul(angle, set(0.63661977236758134308)));
    VD r = hn::NegMulAdd(quarter, set(1.57079632673412561417), angle);  // the upper 33 bits
    r = hn::NegMulAdd(quarter, set(6.07710050650619224932e-11), r);
    const VD z = hn::Mul(r, r);
    VD s = set(-1.0 / 39916800);
    s = hn::MulAdd(s, z, set(1.0 / 362880));
    s = hn::MulAdd(s, z, set(-1.0 / 5040));
    s = hn::MulAdd(s, z, set(1.0 / 120));
    s = hn::MulAdd(s, z, set(-1.0 / 6));
    s = hn::MulAdd(hn::Mul(s, z), r, r);
    VD c = set(1.0 / 479001600);
    c = hn::MulAdd(c, z, set(-1.0 / 3628800));
    c = hn::MulAdd(c, z, set(1.0 / 40320));
    c = hn::MulAdd(c, z, set(-1.0 / 720));
    c = hn::MulAdd(c, z, set(1.0 / 24));
    c = hn::MulAdd(c, z, set(-0.5));
    c = hn::MulAdd(c, z, set(1.0));
    // Quadrants 1 and 3 swap sine and cosine; 2 and 3 negate the sine, 1 and 2 the cosine.
    const VD quadrant = hn::NegMulAdd(hn::Floor(hn::Mul(quarter, set(0.25))), set(4.0), quarter);
    const auto one = hn::Eq(quadrant, set(1.0)), two = hn::Eq(quadrant, set(2.0));
    const auto three = hn::Eq(quadrant, set(3.0));
    const auto swap = hn::Or(one, three);
    const VD magnitude = set(static_cast<double>(rope.magnitude));
    VD sin_angle = hn::Mul(hn::IfThenElse(swap, c, s), magnitude);
    VD cos_angle = hn::Mul(hn::IfThenElse(swap, s, c), magnitude);
    sin_angle = hn::IfThenElse(hn::Or(two, three), hn::Neg(sin_angle), sin_angle);
    cos_angle = hn::IfThenElse(hn::Or(one, two), hn::Neg(cos_angle), cos_angle);
    hn::Store(cos_angle, dd, lanes);
    for (int j = 0; j < used; ++j) cosine[i + j] = static_cast<float>(lanes[j]);
    hn::Store(sin_angle, dd, lanes);
    for (int j = 0; j < used; ++j) sine[i + j] = static_cast<float>(lanes[j]);
  }
}

// (x, y) = (x cos - y sin, y cos + x sin), over whole vectors and then a padded one.
void rotate(const float* cosine, const float* sine, int count, float* x, float* y) {
  const DF df;
  for (int i = 0; i < count; i += kLanes) {
    const int n = std::min(kLanes, count - i);
    const bool whole = n == kLanes;
    const VF c = whole ? hn::LoadU(df, cosine + i) : load_rest(cosine + i, n);
    const VF s = whole ? hn::LoadU(df, sine + i) : load_rest(sine + i, n);
    const VF a = whole ? hn::LoadU(df, x + i) : load_rest(x + i, n);
    const VF b = whole ? hn::LoadU(df, y + i) : load_rest(y + i, n);
    const VF new_x = hn::NegMulAdd(b, s, hn::Mul(a, c));
    const VF new_y = hn::MulAdd(a, s, hn::Mul(b, c));
    if (whole) {
      hn::StoreU(new_x, df, x + i);
      hn::StoreU(new_y, df, y + i);
    } else {
      store_rest(new_x, x + i, n);
      store_rest(new_y, y + i, n);
    }
  }
}

void rope_row(const Rope& rope, int head_dim, int32_t position, float* row, int heads) {
  HWY_ALIGN float cosine[kMaxRopePairs], sine[kMaxRopePairs];
  HWY_ALIGN float even[kMaxRopePairs], odd[kMaxRopePairs];
  const int pairs = rope.dimensions / 2;
  rotation_table(rope, position, cosine, sine);
  for (int h = 0; h < heads; ++h) {
    float* head = row + static_cast<size_t>(h) * head_dim;
    if (!rope.interleaved) {
      rotate(cosine, sine, pairs, head, head + pairs);
      continue;
    }
    for (int i = 0; i < pairs; ++i) {
      even[i] = head[2 * i];
      odd[i] = head[2 * i + 1];
    }
    rotate(cosine, sine, pairs, even, odd);
    for (int i = 0; i < pairs; ++i) {
      head[2 * i] = even[i];
      head[2 * i + 1] = odd[i];
    }
  }
}

// --- Activations and sums

HWY_INLINE VF silu(VF x) {
  const DF df;
  return hn::Div(x, hn::Add(hn::Set(df, 1.0f), exp_approx(df, hn::Neg(x))));
}

// 0.5 x (1 + tanh u) = x / (1 + e^(-2u)), u = sqrt(2/pi) (x + 0.044715 x^3).
HWY_INLINE VF gelu(VF x) {
  const DF df;
  const VF linear = hn::Set(df, -1.5957691216057308f);  // -2 sqrt(2/pi)
  const VF cubic = hn::Set(df, -1.5957691216057308f * 0.044715f);
  const VF minus_2u = hn::Mul(x, hn::MulAdd(hn::Mul(x, x), cubic, linear));
  return hn::Div(x, hn::Add(hn::Set(df, 1.0f), exp_approx(df, minus_2u)));
}

// x Phi(x). The tail Phi(-|x|) = t / 2 e^(P(t) - z^2), z = |x| / sqrt(2), t = 1 / (1 + z / 2), is
// off by 1.2e-7 of itself at most (Press et al., Numerical Recipes, 6.2).
HWY_INLINE VF gelu_erf(VF x) {
  const DF df;
  const auto set = [df](float value) HWY_ATTR { return hn::Set(df, value); };
  const VF one = set(1.0f);
  const VF t = hn::Div(one, hn::MulAdd(hn::Abs(x), set(0.5f * 0.70710678118654752f), one));
  VF p = set(0.17087277f);
  p = hn::MulAdd(p, t, set(-0.82215223f));
  p = hn::MulAdd(p, t, set(1.48851587f));
  p = hn::MulAdd(p, t, set(-1.13520398f));
  p = hn::MulAdd(p, t, set(0.27886807f));
  p = hn::MulAdd(p, t, set(-0.18628806f));
  p = hn::MulAdd(p, t, set(0.09678418f));
  p = hn::MulAdd(p, t, set(0.37409196f));
  p = hn::MulAdd(p, t, set(1.00002368f));
  p = hn::MulAdd(p, t, set(-1.26551223f));
  const VF power = hn::MulAdd(hn::Mul(x, x), set(-0.5f), p);
  const VF tail = hn::Mul(hn::Mul(set(0.5f), t), exp_approx(df, power));
  return hn::Mul(x, hn::IfThenElse(hn::Gt(x, hn::Zero(df)), hn::Sub(one, tail), tail));
}

HWY_INLINE VF relu(VF x) {
  return hn::IfThenZeroElse(hn::Lt(x, hn::Zero(DF())), x);  // NaN stays
}

HWY_INLINE VF squared_relu(VF x) {
  const VF positive = relu(x);
  return hn::Mul(positive, positive);
}

HWY_INLINE VF sigmoid(VF x) {
  const VF one = hn::Set(DF(), 1.0f);
  return hn::Div(one, hn::Add(one, exp_approx(DF(), hn::Neg(x))));
}

// f(g), where g(x) is the activation of one vector.
template <class F>
HWY_INLINE void with_activation(Activation activation, F f) {
  switch (activation) {
    case Activation::kSilu:
      return f([](VF x) HWY_ATTR { return silu(x); });
    case Activation::kGelu:
      return f([](VF x) HWY_ATTR { return gelu(x); });
    case Activation::kGeluErf:
      return f([](VF x) HWY_ATTR { return gelu_erf(x); });
    case Activation::kRelu:
      return f([](VF x) HWY_ATTR { return relu(x); });
    case Activation::kSquaredRelu:
      return f([](VF x) HWY_ATTR { return squared_relu(x); });
    case Activation::kSigmoid:
      return f([](VF x) HWY_ATTR { return sigmoid(x); });
    case Activation::kIdentity:
      return f([](VF x) HWY_ATTR { return x; });
    case Activation::kClampedSilu:
      break;
  }
  TESSERA_ASSERT(false);  // it has no meaning without a second operand
}

void activate_row(Activation activation, int count, float* x) {
  with_activation(activation, [=](auto activated) HWY_ATTR {
    for_each_pair(x, x, count, x, [=](VF v, VF) HWY_ATTR { return activated(v); });
  });
}

void gated_clamped_silu(const float* gate, const float* up, int count, float* out) {
  const DF df;
  const VF one = hn::Set(df, 1.0f), limit = hn::Set(df, 7.0f), minus = hn::Set(df, -7.0f);
  const VF alpha = hn::Set(df, -1.702f);
  for_each_pair(gate, up, count, out, [=](VF x, VF y) HWY_ATTR {
    // By comparisons, which NaN fails and so stays.
    const VF g = hn::IfThenElse(hn::Gt(x, limit), limit, x);
    const VF below = hn::IfThenElse(hn::Gt(y, limit), limit, y);
    const VF u = hn::IfThenElse(hn::Lt(below, minus), minus, below);
    const VF swish = hn::Div(g, hn::Add(one, exp_approx(df, hn::Mul(g, alpha))));
    return hn::Mul(swish, hn::Add(u, one));
  });
}

void gated_row(Activation activation, const float* gate, const float* up, int count, float* out) {
  if (activation == Activation::kClampedSilu) return gated_clamped_silu(gate, up, count, out);
  with_activation(activation, [=](auto activated) HWY_ATTR {
    for_each_pair(gate, up, count, out,
                  [=](VF x, VF y) HWY_ATTR { return hn::Mul(activated(x), y); });
  });
}

void add_row(const float* x, int count, float* into) {
  for_each_pair(x, into, count, into, [](VF a, VF b) HWY_ATTR { return hn::Add(b, a); });
}

void scale_row(float factor, int count, float* x) {
  const VF f = hn::Set(DF(), factor);
  for_each_pair(x, x, count, x, [f](VF v, VF) HWY_ATTR { return hn::Mul(v, f); });
}

void scale_and_cap_row(float factor, float cap, int count, float* x) {
  const DF df;
  const VF f = hn::Set(df, factor), c = hn::Set(df, cap);
  for_each_pair(x, x, count, x, [=](VF v, VF) HWY_ATTR {
    return hn::Mul(c, tanh_approx(df, hn::Div(hn::Mul(v, f), c)));
  });
}

}  // namespace tessera::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tessera::cpu {
HWY_EXPORT(norm_group);
HWY_EXPORT(layer_norm_row);
HWY_EXPORT(rope_row);
HWY_EXPORT(gated_row);
HWY_EXPORT(activate_row);
HWY_EXPORT(add_row);
HWY_EXPORT(scale_row);
HWY_EXPORT(scale_and_cap_row);

namespace {

// Elements that one thread does in some microseconds: below it, other threads are not woken.
constexpr int64_t kAloneElements = 16 * 1024;
constexpr int kPieceColumns = 4096;

// body(row) for all rows.
void for_each_row(ThreadPool& pool, int rows, int columns, FunctionRef<void(int)> body) {
  if (static_cast<int64_t>(rows) * columns <= kAloneElements) {
    for (int row = 0; row < rows; ++row) body(row);
    return;
  }
  const int rows_per_item = std::max(1, kPieceColumns / std::max(1, columns));
  pool.parallel_for((rows + rows_per_item - 1) / rows_per_item, [&](int item, int) {
    const int end = std::min(rows, (item + 1) * rows_per_item);
    for (int row = item * rows_per_item; row < end; ++row) body(row);
  });
}

// body(row, first column, columns): rows wider than a piece are cut as well.
void for_each_piece(ThreadPool& pool, int rows, int columns,
                    FunctionRef<void(int, int, int)> body) {
  const int pieces = std::max(1, (columns + kPieceColumns - 1) / kPieceColumns);
  for_each_row(pool, rows * pieces, columns / pieces, [&](int index) {
    const int first = index % pieces * kPieceColumns;
    body(index / pieces, first, std::min(kPieceColumns, columns - first));
  });
}

}  // namespace

void rms_norm(ThreadPool& pool, HostTensor x, std::span<const float> weight, float epsilon,
              HostTensor out) {
  const int group = static_cast<int>(weight.size());
  for_each_row(pool, x.rows, x.columns, [&](int row) {
    for (int first = 0; first + group <= x.columns; first += group) {
      HWY_DYNAMIC_DISPATCH(norm_group)
      (x.row(row) + first, weight.data(), group, epsilon, out.row(row) + first);
    }
  });
}

void layer_norm(ThreadPool& pool, HostTensor x, std::span<const float> weight,
                std::span<const float> bias, float epsilon, HostTensor out) {
  for_each_row(pool, x.rows, x.columns, [&](int row) {
    HWY_DYNAMIC_DISPATCH(layer_norm_row)
    (x.row(row), weight.data(), bias.empty() ? nullptr : bias.data(), x.columns, epsilon,
     out.row(row));
  });
}

void rope(ThreadPool& pool, const Rope& rope, int head_dim, std::span<const int32_t> positions,
          HostTensor x) {
  if (rope.dimensions < 0 || rope.dimensions % 2 != 0 || rope.dimensions > head_dim ||
      rope.dimensions > 2 * kMaxRopePairs ||
      rope.frequency.size() != static_cast<size_t>(rope.dimensions / 2)) {
    fail(
        "rotary embedding: {} dimensions with {} frequencies in heads of {}: expected an even "
        "number up to {}, and half as many frequencies",
        rope.dimensions, rope.frequency.size(), head_dim, std::min(head_dim, 2 * kMaxRopePairs));
  }
  for_each_row(pool, x.rows, x.columns, [&](int row) {
    HWY_DYNAMIC_DISPATCH(rope_row)
    (rope, head_dim, positions[static_cast<size_t>(row)], x.row(row), x.columns / head_dim);
  });
}

void gated(Activation activation, HostTensor gate, HostTensor up, HostTensor out) {
  for (int row = 0; row < gate.rows; ++row) {
    HWY_DYNAMIC_DISPATCH(gated_row)
    (activation, gate.row(row), up.row(row), gate.columns, out.row(row));
  }
}

void gate(ThreadPool& pool, Activation activation, HostTensor gate, HostTensor x) {
  for_each_piece(pool, x.rows, x.columns, [&](int row, int first, int count) {
    float* part = x.row(row) + first;
    HWY_DYNAMIC_DISPATCH(gated_row)(activation, gate.row(row) + first, part, count, part);
  });
}

void activate(ThreadPool& pool, Activation activation, HostTensor x) {
  for_each_piece(pool, x.rows, x.columns, [&](int row, int first, int count) {
    HWY_DYNAMIC_DISPATCH(activate_row)(activation, count, x.row(row) + first);
  });
}

void add(ThreadPool& pool, HostTensor x, HostTensor into) {
  for_each_piece(pool, x.rows, x.columns, [&](int row, int first, int count) {
    HWY_DYNAMIC_DISPATCH(add_row)(x.row(row) + first, count, into.row(row) + first);
  });
}

void scale_and_cap(ThreadPool& pool, float factor, float cap, HostTensor x) {
  if (cap <= 0.0f && factor == 1.0f) return;
  for_each_piece(pool, x.rows, x.columns, [&](int row, int first, int count) {
    if (cap > 0.0f) {
      HWY_DYNAMIC_DISPATCH(scale_and_cap_row)(factor, cap, count, x.row(row) + first);
    } else {
      HWY_DYNAMIC_DISPATCH(scale_row)(factor, count, x.row(row) + first);
    }
  });
}

}  // namespace tessera::cpu
#endif  // HWY_ONCE
