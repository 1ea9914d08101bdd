// Two-level scales: a super-block holds groups of elements; each group has a small integer scale,
// and one f16 (two with minimums) scales those integers.
//
// Both levels are searched: first the ideal scale of each group, then the f16 that fits all of
// them best, then, with that fixed, the integers again by their true error, then the f16 by least
// squares, and so on for a few rounds.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "formats/block_codec.h"
#include "formats/quantized_block.h"
#include "formats/scale_search.h"

namespace tessera {

struct SuperBlockSearch {
  Candidates group;  // candidates for the scale of one group
  int neighbours;    // integer scales tried on each side of the ideal one
  int rounds;        // alternations between the integers and the f16
};

inline constexpr Candidates kSuperScaleCandidates{-0.6f, 0.6f, 13};

// x ~ d * scale[group] * level
template <int kGroups>
struct SymmetricScales {
  float d = 0;  // exactly an f16
  int scale[kGroups] = {};

  float group_scale(int group) const { return d * static_cast<float>(scale[group]); }
};

// The integer scale of one group, near `ideal`, that gives the least error with this d.
template <int N, typename Levels>
int best_integer_scale(const Levels& levels, const float* x, const float* weight, float d,
                       float ideal, const IntegerLevels& range, int neighbours, Moments& best) {
  const int lo = static_cast<int>(range.lo);
  const int hi = static_cast<int>(range.hi);
  const int center = static_cast<int>(range.nearest(d == 0 ? 0.0f : ideal / d));
  int chosen = center;
  best = moments<N>(levels, x, weight, d * static_cast<float>(center), 0);
  for (int s = std::max(lo, center - neighbours); s <= std::min(hi, center + neighbours); ++s) {
    const Moments m = moments<N>(levels, x, weight, d * static_cast<float>(s), 0);
    if (m.rr < best.rr) {
      best = m;
      chosen = s;
    }
  }
  return chosen;
}

template <int kGroups, int N, typename Levels>
SymmetricScales<kGroups> search_symmetric(const Levels& levels, const IntegerLevels& scale_range,
                                          const BlockInput<kGroups * N>& in,
                                          const SuperBlockSearch& search) {
  alignas(16) float ideal[kGroups];
  alignas(16) float weight[kGroups];
  for (int g = 0; g < kGroups; ++g) {
    const ScaleFit fit = search_scale<N>(levels, in.x + g * N, in.weight + g * N, search.group);
    ideal[g] = fit.scale;
    weight[g] = fit.weight;
  }
  float d = round_scale_f16(
      search_scale<kGroups>(scale_range, ideal, weight, kSuperScaleCandidates).scale);

  SymmetricScales<kGroups> best;
  float best_error = INFINITY;
  for (int round = 0; round < search.rounds; ++round) {
    SymmetricScales<kGroups> now;
    now.d = d;
    float error = 0;
    float gradient = 0;
    float curvature = 0;
    for (int g = 0; g < kGroups; ++g) {
      Moments m;
      now.scale[g] = best_integer_scale<N>(levels, in.x + g * N, in.weight + g * N, d, ideal[g],
                                           scale_range, search.neighbours, m);
      const auto s = static_cast<float>(now.scale[g]);
      error += m.rr;
      gradient += s * m.rq;
      curvature += s * s * m.qq;
    }
    if (!(error < best_error)) break;
    best_error = error;
    best = now;
    if (curvature > 0) d = round_scale_f16(d + gradient / curvature);
  }
  return best;
}

// The block that these make, with the nearest level of each element.
template <int kGroups, int N, typename Levels>
BlockParts symmetric_parts(const Levels& levels, const BlockInput<kGroups * N>& in,
                           const SymmetricScales<kGroups>& found) {
  BlockParts parts;
  parts.d = f32_to_f16(found.d);
  for (int g = 0; g < kGroups; ++g) {
    parts.scales[g] = static_cast<int8_t>(found.scale[g]);
    Coder(levels, found.group_scale(g), 0).encode(in.x + g * N, N, parts.codes + g * N);
  }
  return parts;
}

// x ~ d * scale[group] * q - dmin * min[group]
template <int kGroups>
struct AffineScales {
  float d = 0, dmin = 0;  // exactly f16s
  int scale[kGroups] = {};
  int min[kGroups] = {};

  float group_scale(int group) const { return d * static_cast<float>(scale[group]); }
  float group_offset(int group) const { return -dmin * static_cast<float>(min[group]); }
};

// The sums for the least-squares step in (d, dmin), over all groups of a super-block.
struct AffineSums {
  float error = 0;
  float rd = 0, rm = 0;          // residual times the derivative by d and by dmin
  float dd = 0, dm = 0, mm = 0;  // products of the derivatives

  void add(const Moments& m, float scale, float min) {
    error += m.rr;
    rd += scale * m.rq;
    rm -= min * m.r;
    dd += scale * scale * m.qq;
    dm -= scale * min * m.q;
    mm += min * min * m.w;
  }

  void improve(float& d, float& dmin) const {
    const float determinant = dd * mm - dm * dm;
    if (determinant > 1e-6f * dd * mm) {
      d = round_scale_f16(std::max(d + (rd * mm - rm * dm) / determinant, 0.0f));
      dmin = round_scale_f16(std::max(dmin + (rm * dd - rd * dm) / determinant, 0.0f));
    } else if (dd > 0) {
      d = round_scale_f16(std::max(d + rd / dd, 0.0f));
    }
  }
};

// Chooses scale and min of group g, near the ideal ones, by the true error; adds to the sums.
template <int N, int kGroups>
void choose_affine_integers(const IntegerLevels& levels, int max_integer, const float* x,
                            const float* weight, const AffineFit& ideal, int neighbours, int g,
                            AffineScales<kGroups>& now, AffineSums& sums) {
  const IntegerLevels range{0, static_cast<float>(max_integer)};
  const int scale0 = static_cast<int>(range.nearest(now.d == 0 ? 0.0f : ideal.scale / now.d));
  const int min0 = static_cast<int>(range.nearest(now.dmin == 0 ? 0.0f : -ideal.offset / now.dmin));
  Moments best{};
  best.rr = INFINITY;
  for (int s = std::max(0, scale0 - neighbours); s <= std::min(max_integer, scale0 + neighbours);
       ++s) {
    for (int m = std::max(0, min0 - neighbours); m <= std::min(max_integer, min0 + neighbours);
         ++m) {
      const Moments here = moments<N>(levels, x, weight, now.d * static_cast<float>(s),
                                      -now.dmin * static_cast<float>(m));
      if (here.rr < best.rr) {
        best = here;
        now.scale[g] = s;
        now.min[g] = m;
      }
    }
  }
  sums.add(best, static_cast<float>(now.scale[g]), static_cast<float>(now.min[g]));
}

template <int kGroups, int N>
AffineScales<kGroups> search_affine_scales(const IntegerLevels& levels, int max_integer,
                                           const BlockInput<kGroups * N>& in,
                                           const SuperBlockSearch& search) {
  AffineFit ideal[kGroups];
  alignas(16) float scale[kGroups], scale_weight[kGroups], min[kGroups], min_weight[kGroups];
  for (int g = 0; g < kGroups; ++g) {
    ideal[g] = search_affine<N>(levels, in.x + g * N, in.weight + g * N, true, search.group);
    scale[g] = ideal[g].scale;
    scale_weight[g] = ideal[g].moments.qq;
    min[g] = -ideal[g].offset;
    min_weight[g] = ideal[g].moments.w;
  }
  const IntegerLevels integers{0, static_cast<float>(max_integer)};
  float d = round_scale_f16(
      search_scale<kGroups>(integers, scale, scale_weight, kSuperScaleCandidates).scale);
  float dmin = round_scale_f16(
      search_scale<kGroups>(integers, min, min_weight, kSuperScaleCandidates).scale);

  AffineScales<kGroups> best;
  float best_error = INFINITY;
  for (int round = 0; round < search.rounds; ++round) {
    AffineScales<kGroups> now;
    now.d = d;
    now.dmin = dmin;
    AffineSums sums;
    for (int g = 0; g < kGroups; ++g) {
      choose_affine_integers<N>(levels, max_integer, in.x + g * N, in.weight + g * N, ideal[g],
                                search.neighbours, g, now, sums);
    }
    if (!(sums.error < best_error)) break;
    best_error = sums.error;
    best = now;
    sums.improve(d, dmin);
  }
  return best;
}

// The block that these make, with the nearest level of each element.
template <int kGroups, int N>
BlockParts affine_parts(const IntegerLevels& levels, const BlockInput<kGroups * N>& in,
                        const AffineScales<kGroups>& found) {
  BlockParts parts;
  parts.d = f32_to_f16(found.d);
  parts.m = f32_to_f16(found.dmin);
  for (int g = 0; g < kGroups; ++g) {
    parts.scales[g] = static_cast<int8_t>(found.scale[g]);
    parts.mins[g] = static_cast<int8_t>(found.min[g]);
    Coder(levels, found.group_scale(g), found.group_offset(g))
        .encode(in.x + g * N, N, parts.codes + g * N);
  }
  return parts;
}

}  // namespace tessera
