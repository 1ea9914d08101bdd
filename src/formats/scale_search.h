// The search for the scale (and offset) of one group of elements that minimizes the weighted
// squared error sum w (x - offset - scale * q)^2, with q the nearest level of a grid.
//
// The error is a bumpy function of the scale: piecewise quadratic, with a new piece wherever an
// element changes its level. So we try a row of candidates. Each costs one pass over the group;
// the sums of that pass also give, in closed form, the best scale for the levels it chose (least
// squares), which is always at least as good. The winner is then polished by repeating that step.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <initializer_list>

#include "formats/f16_field.h"
#include "formats/levels.h"

namespace tessera {

// Below this everything is zero: far below the smallest f16, and its square is still a float.
inline constexpr float kNegligible = 1e-15f;

// Weighted sums over a group for one scale and offset; r = x - offset - scale * q is the residual.
// Working with residuals keeps the small differences that plain sums of x * q would cancel away.
struct Moments {
  float rr, rq, r, qq, q, w;

  // The weighted squared error after the scale moves by `ds` and the offset by `db`.
  float error_after(float ds, float db) const {
    return rr - 2 * (ds * rq + db * r) + ds * ds * qq + 2 * ds * db * q + db * db * w;
  }
};

inline float sum_lanes(Float4 v) {
  return (v[0] + v[1]) + (v[2] + v[3]);
}

inline Float4 load4(const float* p) {
  return Float4{p[0], p[1], p[2], p[3]};
}

template <int N, typename Levels>
Moments moments(const Levels& levels, const float* x, const float* weight, float scale,
                float offset) {
  static_assert(N % 4 == 0);
  const float inverse = scale == 0.0f ? 0.0f : 1.0f / scale;
  Float4 rr{}, rq{}, r{}, qq{}, q{}, w{};
  for (int i = 0; i < N; i += 4) {
    const Float4 wi = load4(weight + i);
    const Float4 shifted = load4(x + i) - offset;
    const Float4 qi = levels.nearest(shifted * inverse);
    const Float4 ri = shifted - scale * qi;
    const Float4 wr = wi * ri;
    const Float4 wq = wi * qi;
    rr += wr * ri;
    rq += wr * qi;
    r += wr;
    qq += wq * qi;
    q += wq;
    w += wi;
  }
  return {sum_lanes(rr), sum_lanes(rq), sum_lanes(r), sum_lanes(qq), sum_lanes(q), sum_lanes(w)};
}

// The element of the largest magnitude, with its sign.
template <int N>
float largest_magnitude(const float* x) {
  return *std::max_element(x, x + N, [](float a, float b) { return std::fabs(a) < std::fabs(b); });
}

// Which candidates to try: the largest element lands on the outermost level + delta, for `count`
// values of delta evenly spaced from `from` to `to` (in levels). A positive delta clips it.
struct Candidates {
  float from, to;
  int count;

  float delta(int i) const {
    return count == 1 ? from
                      : from + (to - from) * static_cast<float>(i) / static_cast<float>(count - 1);
  }
};

struct ScaleFit {
  float scale = 0;
  float error = 0;   // predicted weighted squared error with this scale
  float weight = 0;  // how much the error grows with the square of a change of the scale
};

// x ~ scale * q. The scale may be negative: then the grid is mirrored, which matters where it
// reaches further on one side (-8 .. 7).
template <int N, typename Levels>
ScaleFit search_scale(const Levels& levels, const float* x, const float* weight,
                      Candidates candidates) {
  const float extreme = largest_magnitude<N>(x);
  if (std::fabs(extreme) < kNegligible) return {};
  ScaleFit best;
  bool found = false;
  const auto consider = [&](float scale) {
    const Moments m = moments<N>(levels, x, weight, scale, 0);
    const float step = m.qq > 0 ? m.rq / m.qq : 0;
    const float error = m.rr - step * m.rq;
    if (found && !(error < best.error)) return false;
    found = true;
    best = {scale + step, error, m.qq};
    return true;
  };
  // The largest element may land on either end of the grid, unless one is the other's mirror
  // image or there are no negative levels.
  const bool one_sided = levels.lowest() == 0 || levels.lowest() == -levels.highest();
  for (const float end : {levels.highest(), levels.lowest()}) {
    for (int i = 0; i < candidates.count; ++i) {
      const float level = end > 0 ? end + candidates.delta(i) : end - candidates.delta(i);
      if (level * end > 0) consider(extreme / level);
    }
    if (one_sided) break;
  }
  for (int i = 0; i < 4 && consider(best.scale); ++i) {
  }
  return best;
}

// Of scales as they are stored, the one that errs least; of equals the first.
template <int N, typename Levels>
float least_error(const Levels& levels, const float* x, const float* weight,
                  std::initializer_list<float> scales) {
  float best = 0, least = INFINITY;
  for (const float scale : scales) {
    const float error = moments<N>(levels, x, weight, scale, 0).rr;
    if (!(error < least)) continue;
    least = error;
    best = scale;
  }
  return best;
}

// search_scale for formats that store it as f16. Rounding it may cost more than the search won, so
// it stands beside the scale of no search; and values far below the smallest f16 are better off as
// zeros if the grid itself has no zero.
template <int N, typename Levels>
float search_scale_f16(const Levels& levels, const float* x, const float* weight,
                       Candidates candidates) {
  const float found = search_scale<N>(levels, x, weight, candidates).scale,
              absmax = std::fabs(largest_magnitude<N>(x)) / levels.highest();
  return least_error<N>(levels, x, weight, {round_scale_f16(found), round_scale_f16(absmax), 0});
}

struct AffineFit {
  float scale = 0, offset = 0;
  Moments moments{};
  float error = 0;
};

// Least squares for both, starting from `scale` and `offset`; an offset that must not be positive
// stops at zero.
template <int N>
AffineFit fit_affine(const IntegerLevels& levels, const float* x, const float* weight, float scale,
                     float offset, bool offset_nonpositive) {
  const Moments m = moments<N>(levels, x, weight, scale, offset);
  const float determinant = m.qq * m.w - m.q * m.q;
  float ds = 0;
  float db = 0;
  if (determinant > 1e-6f * m.qq * m.w) {
    ds = (m.rq * m.w - m.r * m.q) / determinant;
    db = (m.r * m.qq - m.rq * m.q) / determinant;
  }
  if (offset_nonpositive && offset + db > 0) {
    db = -offset;
    ds = m.qq > 0 ? (m.rq - db * m.q) / m.qq : 0;
  }
  return {scale + ds, offset + db, m, m.error_after(ds, db)};
}

// x ~ scale * q + offset with q in 0 .. levels.hi and scale >= 0.
template <int N>
AffineFit search_affine(const IntegerLevels& levels, const float* x, const float* weight,
                        bool offset_nonpositive, Candidates candidates) {
  const auto [min_at, max_at] = std::minmax_element(x, x + N);
  const float lo = offset_nonpositive ? std::min(*min_at, 0.0f) : *min_at;
  const float range = *max_at - lo;
  if (range < kNegligible) {  // all the same: the offset says it all
    AffineFit constant;
    constant.offset = lo;
    constant.moments = moments<N>(levels, x, weight, 0, lo);
    return constant;
  }
  AffineFit best;
  bool found = false;
  const auto consider = [&](float scale, float offset) {
    const AffineFit fit = fit_affine<N>(levels, x, weight, scale, offset, offset_nonpositive);
    if (!(fit.scale > 0) || (found && !(fit.error < best.error))) return false;
    found = true;
    best = fit;
    return true;
  };
  // Each end of the range is moved inward by a candidate number of levels.
  const float unit = range / levels.hi;
  for (int i = 0; i < candidates.count; ++i) {
    for (int j = 0; j < candidates.count; ++j) {
      const float bottom = lo + candidates.delta(i) * unit;
      const float top = *max_at - candidates.delta(j) * unit;
      if (top > bottom) consider((top - bottom) / levels.hi, bottom);
    }
  }
  for (int i = 0; i < 4 && consider(best.scale, best.offset); ++i) {
  }
  return best;
}

struct AffineF16 {
  float scale, offset;
};

// search_affine for formats that store both as f16: no worse than the minimum and the maximum.
template <int N>
AffineF16 search_affine_f16(const IntegerLevels& levels, const float* x, const float* weight,
                            Candidates candidates) {
  const AffineFit fit = search_affine<N>(levels, x, weight, false, candidates);
  AffineF16 found{0, round_offset_f16(fit.offset)};
  // The scale makes good what rounding did to the offset.
  const Moments m = moments<N>(levels, x, weight, fit.scale, found.offset);
  found.scale = round_scale_f16(fit.scale + (m.qq > 0 ? m.rq / m.qq : 0));
  const auto [low, high] = std::minmax_element(x, x + N);
  const AffineF16 ends{round_scale_f16((*high - *low) / levels.hi), round_offset_f16(*low)};
  const auto error = [&](AffineF16 by) {
    return moments<N>(levels, x, weight, by.scale, by.offset).rr;
  };
  return error(ends) < error(found) ? ends : found;
}

// Values to codes, once scale and offset are settled. A zero scale gives the code of zero.
template <typename Levels>
class Coder {
 public:
  Coder(const Levels& levels, float scale, float offset)
      : levels_(levels), scale_(scale), offset_(offset) {}

  uint8_t operator()(float x) const {
    return levels_.code(scale_ == 0 ? 0.0f : (x - offset_) / scale_);
  }
  void encode(const float* x, int count, uint8_t* codes) const {
    for (int i = 0; i < count; ++i) codes[i] = (*this)(x[i]);
  }

 private:
  const Levels& levels_;
  float scale_, offset_;
};

}  // namespace tessera
