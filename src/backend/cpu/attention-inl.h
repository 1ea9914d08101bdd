// The three kernels of attention over one tile of 32 keys: scores, softmax, weighted sum of values.
//
// Bound: prompts by arithmetic (2 x head_dim multiply-adds for each query and key), single tokens
// by reading the tile from memory. So a tile is read once for up to kMaxQueries queries, whose
// accumulators live in registers.
//
// With AVX-512 and heads of 64, a query and a tile take 128 multiply-adds for scores, 128 for
// values and about 70 instructions of softmax on the same two ports: at most 79 % of the peak.
// Reached with bench/attention_bench (SmolLM2's heads, f16, 2 threads): a prompt of 512 90 of 142
// GMAC/s; one token at 8192 20 of 32 GB/s.
//
// Order of operations, the same whichever queries come together and however the tile is read:
//   score[j]  one chain of multiply-adds over the dimensions, ascending
//   max       the largest score of the first tile with a visible key, or of a later one that
//             exceeds it by more than kMaxSlack
//   sum       lane by lane over the tile's vectors, ascending; lanes are added at the split's end
//   acc[d]    one chain of multiply-adds over the visible keys, ascending
// Included once for each instruction set (Highway's foreach_target), so no #pragma once.
#if defined(TESSERA_BACKEND_CPU_ATTENTION_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TESSERA_BACKEND_CPU_ATTENTION_INL_H
#undef TESSERA_BACKEND_CPU_ATTENTION_INL_H
#else
#define TESSERA_BACKEND_CPU_ATTENTION_INL_H
#endif

#include <hwy/cache_control.h>

#include <algorithm>
#include <limits>

#include "backend/cpu/kv_store.h"
#include "base/simd/math-inl.h"
#include "base/simd/simd.h"

HWY_BEFORE_NAMESPACE();
namespace tessera::cpu::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using tessera::HWY_NAMESPACE::exp_approx, tessera::HWY_NAMESPACE::tanh_approx;

using DF = hn::ScalableTag<float>;
using VF = hn::Vec<DF>;
inline constexpr int kLanes = static_cast<int>(hn::MaxLanes(DF()));

// Two vectors of accumulators for each query: 16 of 32 registers, or 8 of 16.
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_SSE4
inline constexpr int kMaxQueries = 4;
#else
inline constexpr int kMaxQueries = 8;
#endif

// --- Ways to read a tile. All give the same f32 values: f16 and code * scale are exact in f32.

// Converted before, because many queries share it.
struct F32Tile {
  const float* keys;
  const float* values;
  int padded_dim;

  HWY_INLINE VF key(int dim, int token) const {
    return hn::LoadU(DF(), keys + dim * kBlockTokens + token);
  }
  HWY_INLINE VF value(int token, int dim) const {
    return hn::LoadU(DF(), values + token * padded_dim + dim);
  }
  HWY_INLINE void prefetch_key(int) const {}
  HWY_INLINE void prefetch_value(int, int) const {}
};

// A tile that more than kFewUsers blocks of queries read is converted for them first.
struct F16Tile {
  static constexpr int kFewUsers = 6;
  const hwy::float16_t* keys;
  const hwy::float16_t* values;
  int padded_dim;
  ptrdiff_t next;  // elements from this tile to the one that will be read after it

  HWY_INLINE VF key(int dim, int token) const { return load(keys + dim * kBlockTokens + token); }
  HWY_INLINE VF value(int token, int dim) const { return load(values + token * padded_dim + dim); }
  HWY_INLINE void prefetch_key(int dim) const { hwy::Prefetch(keys + next + dim * kBlockTokens); }
  HWY_INLINE void prefetch_value(int token, int dim) const {
    if (dim % 32 == 0) hwy::Prefetch(values + next + token * padded_dim + dim);
  }
  static HWY_INLINE VF load(const hwy::float16_t* p) {
    const hn::Rebind<hwy::float16_t, DF> dh;
    const VF x = hn::PromoteTo(DF(), hn::LoadU(dh, p));
#if HWY_TARGET <= HWY_AVX2 || HWY_TARGET == HWY_NEON
    return x;
#else  // no such instruction, and Highway's stand-in takes infinity and NaN for 2^16 and beyond
    const VF infinity = hn::Set(DF(), std::numeric_limits<float>::infinity());
    return hn::IfThenElse(hn::Ge(hn::Abs(x), hn::Set(DF(), 65536.0f)), hn::Or(x, infinity), x);
#endif
  }
};

struct Q8Tile {
  static constexpr int kFewUsers = 2;
  const int8_t* keys;
  const int8_t* values;
  const float* key_scales;  // [head_dim / 32][32 tokens]
  const float* value_scales;
  int padded_dim;
  ptrdiff_t next;

  HWY_INLINE VF key(int dim, int token) const {
    const float* scales = key_scales + dim / kQ8Group * kBlockTokens + token;
    return hn::Mul(load(keys + dim * kBlockTokens + token), hn::LoadU(DF(), scales));
  }
  HWY_INLINE VF value(int token, int dim) const {
    const float scale = value_scales[dim / kQ8Group * kBlockTokens + token];
    return hn::Mul(load(values + token * padded_dim + dim), hn::Set(DF(), scale));
  }
  HWY_INLINE void prefetch_key(int dim) const {
    if (dim % 2 == 0) hwy::Prefetch(keys + next + dim * kBlockTokens);
  }
  HWY_INLINE void prefetch_value(int token, int dim) const {
    if (dim % 64 == 0) hwy::Prefetch(values + next + token * padded_dim + dim);
  }
  static HWY_INLINE VF load(const int8_t* p) {
    const hn::Rebind<int8_t, DF> d8;
    const hn::RebindToSigned<DF> di;
    return hn::ConvertTo(DF(), hn::PromoteTo(di, hn::LoadU(d8, p)));
  }
};

// --- Scores

// scores[m][j] = q[m] . key j for all 32 keys. q is [kQueries][head_dim].
template <int kQueries, class Tile>
void score_tile(const Tile& tile, int head_dim, const float* HWY_RESTRICT q,
                float* HWY_RESTRICT scores) {
  const DF df;
  for (int token = 0; token < kBlockTokens; token += 2 * kLanes) {
    VF sum0[kQueries], sum1[kQueries];
    for (int m = 0; m < kQueries; ++m) sum0[m] = sum1[m] = hn::Zero(df);
    for (int dim = 0; dim < head_dim; ++dim) {
      if (token == 0) tile.prefetch_key(dim);
      const VF key0 = tile.key(dim, token);
      const VF key1 = tile.key(dim, token + kLanes);
      for (int m = 0; m < kQueries; ++m) {
        const VF query = hn::Set(df, q[m * head_dim + dim]);
        sum0[m] = hn::MulAdd(query, key0, sum0[m]);
        sum1[m] = hn::MulAdd(query, key1, sum1[m]);
      }
    }
    for (int m = 0; m < kQueries; ++m) {
      hn::StoreU(sum0[m], df, scores + m * kBlockTokens + token);
      hn::StoreU(sum1[m], df, scores + m * kBlockTokens + token + kLanes);
    }
  }
}

// scores[j] += slope * (first + j)
inline void add_line(float slope, float first, float* HWY_RESTRICT scores) {
  const DF df;
  for (int token = 0; token < kBlockTokens; token += kLanes) {
    const VF distance = hn::Iota(df, first + static_cast<float>(token));
    const VF score = hn::LoadU(df, scores + token);
    hn::StoreU(hn::MulAdd(hn::Set(df, slope), distance, score), df, scores + token);
  }
}

// --- Softmax

// The keys [first, last) of a tile that one query sees; empty if it does not read this tile.
struct Visible {
  int first = 0, last = 0;
  bool empty() const { return first >= last; }
  bool full() const { return first == 0 && last == kBlockTokens; }
};

// How far a score may exceed `max` before everything is rescaled to a new one. Any number near the
// maximum keeps e^(score - max) in range; not following each small step of it saves most rescaling
// (as in FlashAttention 4).
inline constexpr float kMaxSlack = 8.0f;

// Online softmax of one block of queries, between two tiles.
struct SoftmaxState {
  float max[8];
  float correction[16];          // e^(old max - new max) of the last tile, a whole vector
  alignas(64) float sum[8][16];  // of the probabilities, by lane
};

HWY_INLINE VF scaled_score(const AttentionParameters& parameters, VF score) {
  const DF df;
  score = hn::Mul(score, hn::Set(df, parameters.scale));
  if (parameters.soft_cap <= 0.0f) return score;
  const VF cap = hn::Set(df, parameters.soft_cap);
  return hn::Mul(cap, tanh_approx(df, hn::Div(score, cap)));
}

HWY_INLINE hn::Mask<DF> visible_lanes(const Visible& visible, int token) {
  const DF df;
  const VF index = hn::Iota(df, static_cast<float>(token));
  return hn::And(hn::Ge(index, hn::Set(df, static_cast<float>(visible.first))),
                 hn::Lt(index, hn::Set(df, static_cast<float>(visible.last))));
}

// Scales and masks the raw scores of one query in place; returns their maximum.
inline float mask_scores(const AttentionParameters& parameters, const Visible& visible,
                         float* HWY_RESTRICT scores) {
  const DF df;
  const VF hidden = hn::Set(df, -std::numeric_limits<float>::infinity());
  VF max = hidden;
  for (int token = 0; token < kBlockTokens; token += kLanes) {
    VF score = scaled_score(parameters, hn::LoadU(df, scores + token));
    if (!visible.full()) score = hn::IfThenElse(visible_lanes(visible, token), score, hidden);
    hn::StoreU(score, df, scores + token);
    max = hn::Max(max, score);
  }
  return hn::GetLane(hn::MaxOfLanes(df, max));
}

// scores[m] -> probabilities relative to state.max, exactly 0 where hidden.
// Returns whether any maximum grew, so that the accumulators must be rescaled by state.correction.
inline bool softmax_tile(const AttentionParameters& parameters, const Visible* visible, int queries,
                         SoftmaxState& state, float* HWY_RESTRICT scores) {
  const DF df;
  bool grew = false;
  for (int m = 0; m < queries; ++m) {
    state.correction[m] = 0.0f;
    if (visible[m].empty()) continue;
    const float max = mask_scores(parameters, visible[m], scores + m * kBlockTokens);
    if (max > state.max[m] + kMaxSlack) {
      grew = true;
      state.correction[m] = state.max[m] - max;
      state.max[m] = max;
    }
  }
  if (grew) {  // else all are e^0 = 1
    for (int m = 0; m < queries; m += kLanes) {
      hn::StoreU(exp_approx(df, hn::LoadU(df, state.correction + m)), df, state.correction + m);
    }
  }
  for (int m = 0; m < queries; ++m) {
    if (visible[m].empty()) continue;
    float* HWY_RESTRICT row = scores + m * kBlockTokens;
    const VF max = hn::Set(df, state.max[m]);
    VF sum = hn::LoadU(df, state.sum[m]);
    if (grew) sum = hn::Mul(sum, hn::Set(df, state.correction[m]));
    for (int token = 0; token < kBlockTokens; token += kLanes) {
      VF p = exp_approx(df, hn::Sub(hn::LoadU(df, row + token), max));
      if (!visible[m].full()) p = hn::IfThenElseZero(visible_lanes(visible[m], token), p);
      hn::StoreU(p, df, row + token);
      sum = hn::Add(sum, p);
    }
    hn::StoreU(sum, df, state.sum[m]);
  }
  return grew;
}

// --- Weighted sum of values

template <int kQueries, int kVectors, class Tile>
HWY_INLINE void accumulate_columns(const Tile& tile, int dim, int first, int last,
                                   const float* HWY_RESTRICT p, float* HWY_RESTRICT acc) {
  const DF df;
  VF sum[kQueries][kVectors];
  for (int m = 0; m < kQueries; ++m) {
    for (int i = 0; i < kVectors; ++i) {
      sum[m][i] = hn::LoadU(df, acc + m * tile.padded_dim + dim + i * kLanes);
    }
  }
  for (int token = first; token < last; ++token) {
    VF value[kVectors];
    for (int i = 0; i < kVectors; ++i) {
      tile.prefetch_value(token, dim + i * kLanes);
      value[i] = tile.value(token, dim + i * kLanes);
    }
    for (int m = 0; m < kQueries; ++m) {
      const VF weight = hn::Set(df, p[m * kBlockTokens + token]);
      for (int i = 0; i < kVectors; ++i) sum[m][i] = hn::MulAdd(weight, value[i], sum[m][i]);
    }
  }
  for (int m = 0; m < kQueries; ++m) {
    for (int i = 0; i < kVectors; ++i) {
      hn::StoreU(sum[m][i], df, acc + m * tile.padded_dim + dim + i * kLanes);
    }
  }
}

// acc[m] += sum over keys j in [first, last) of p[m][j] * value j.
template <int kQueries, class Tile>
void accumulate_tile(const Tile& tile, int first, int last, const float* HWY_RESTRICT p,
                     float* HWY_RESTRICT acc) {
  constexpr int kVectors = 2 * kQueries <= kMaxQueries ? 4 : 2;
  int dim = 0;
  for (; dim + kVectors * kLanes <= tile.padded_dim; dim += kVectors * kLanes) {
    accumulate_columns<kQueries, kVectors>(tile, dim, first, last, p, acc);
  }
  for (; dim < tile.padded_dim; dim += kLanes) {
    accumulate_columns<kQueries, 1>(tile, dim, first, last, p, acc);
  }
}

// --- From a run-time number of queries to the kernel made for it

template <int kQueries = kMaxQueries, class Tile>
HWY_INLINE void score_queries(const Tile& tile, int head_dim, int queries, const float* q,
                              float* scores) {
  if constexpr (kQueries > 1) {
    if (queries != kQueries) return score_queries<kQueries - 1>(tile, head_dim, queries, q, scores);
  }
  score_tile<kQueries>(tile, head_dim, q, scores);
}

template <int kQueries = kMaxQueries, class Tile>
HWY_INLINE void accumulate_queries(const Tile& tile, int queries, int first, int last,
                                   const float* p, float* acc) {
  if constexpr (kQueries > 1) {
    if (queries != kQueries) {
      return accumulate_queries<kQueries - 1>(tile, queries, first, last, p, acc);
    }
  }
  accumulate_tile<kQueries>(tile, first, last, p, acc);
}

// Queries see different parts of the tile at the edges of their context. Those keys that all of a
// run of neighbours see are taken together, the others query by query: each query still meets its
// keys in ascending order, and never touches the value of a key it does not see (it may be NaN).
template <class Tile>
void accumulate_visible(const Tile& tile, const Visible* visible, int queries, const float* p,
                        float* acc) {
  for (int begin = 0, end = 0; begin < queries; begin = end) {
    end = begin + 1;
    if (visible[begin].empty()) continue;
    Visible common = visible[begin];
    for (; end < queries && !visible[end].empty(); ++end) {
      common.first = std::max(common.first, visible[end].first);
      common.last = std::min(common.last, visible[end].last);
    }
    common.last = std::max(common.first, common.last);
    const auto single = [&](int m, int first, int last) HWY_ATTR {
      if (first >= last) return;
      accumulate_queries(tile, 1, first, last, p + m * kBlockTokens, acc + m * tile.padded_dim);
    };
    for (int m = begin; m < end; ++m) {
      single(m, visible[m].first, std::min(visible[m].last, common.first));
    }
    if (!common.empty()) {
      accumulate_queries(tile, end - begin, common.first, common.last, p + begin * kBlockTokens,
                         acc + begin * tile.padded_dim);
    }
    for (int m = begin; m < end; ++m) {
      single(m, std::max(visible[m].first, common.last), visible[m].last);
    }
  }
}

// --- Small loops over a vector of head_dim (padded) elements

HWY_INLINE void scale_vector(float factor, int count, float* x) {
  const DF df;
  for (int i = 0; i < count; i += kLanes) {
    hn::StoreU(hn::Mul(hn::LoadU(df, x + i), hn::Set(df, factor)), df, x + i);
  }
}

// x = x * a + y * b
HWY_INLINE void blend_vector(float a, const float* y, float b, int count, float* x) {
  const DF df;
  for (int i = 0; i < count; i += kLanes) {
    const VF old = hn::Mul(hn::LoadU(df, x + i), hn::Set(df, a));
    hn::StoreU(hn::MulAdd(hn::LoadU(df, y + i), hn::Set(df, b), old), df, x + i);
  }
}

inline float exp_scalar(float x) {
  const DF df;
  return hn::GetLane(exp_approx(df, hn::Set(df, x)));
}

// --- Conversion of a whole tile to f32, for many queries

template <class Tile>
void convert_tile(const Tile& tile, int head_dim, float* keys, float* values) {
  const DF df;
  for (int dim = 0; dim < head_dim; ++dim) {
    tile.prefetch_key(dim);
    for (int token = 0; token < kBlockTokens; token += kLanes) {
      hn::StoreU(tile.key(dim, token), df, keys + dim * kBlockTokens + token);
    }
  }
  for (int token = 0; token < kBlockTokens; ++token) {
    for (int dim = 0; dim < tile.padded_dim; dim += kLanes) {
      tile.prefetch_value(token, dim);
      hn::StoreU(tile.value(token, dim), df, values + token * tile.padded_dim + dim);
    }
  }
}

// count is a multiple of 16.
inline void convert_scales(const std::byte* from, int count, float* to) {
  const auto* half = reinterpret_cast<const hwy::float16_t*>(from);
  for (int i = 0; i < count; i += kLanes) hn::StoreU(F16Tile::load(half + i), DF(), to + i);
}

}  // namespace tessera::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
