// The dot kernel of all quantized formats. The loop that matters is in `multiply_tile`.
//
// For T rows of activations and 16 rows of weights, a block of 32 columns takes, with AVX-512 VNNI,
//   8 loads of weights, 8 T dot instructions (64 products each), each with a broadcast load of 4
//   activations, then 3 T float instructions (to float, scale * scale, fused multiply-add), one
//   more T with a min.
// With 8 rows that is 64 of 88 to 96 vector instructions on the two ports that run them: about 70 %
// of the int8 peak. With 1 row it is 11 instructions for 256 to 512 bytes of weights, after
// expand.h's 24 or so: far less time than memory takes to deliver them. So decoding is bound by
// memory, prompts by the dot instruction.
//
// Order, the same for every T and every caller (exactness): integers are summed over the columns of
// a scale, exactly; their f32 products are added block by block, ascending, to one accumulator for
// each output.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/quantized.cc"
#include "backend/cpu/simd_targets.h"
//
#include <hwy/foreach_target.h>
//
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "backend/cpu/dot4.h"
#include "backend/cpu/expand.h"
#include "backend/cpu/lanes.h"
#include "backend/cpu/quantized.h"

HWY_BEFORE_NAMESPACE();
namespace tessera::cpu::HWY_NAMESPACE {

// Where a tile's part of 256 columns lies.
struct TileChunk {
  const int8_t* codes;
  const float* scales;
  const int32_t* terms;
};

// Adds `blocks` blocks of 32 columns to sums[0 .. kRows), each with 16 outputs.
template <int kRows, int kScaleColumns, bool kMin, bool kWide>
HWY_NOINLINE void multiply_tile(const uint8_t* weights, const Chunk& chunk, int blocks, TileChunk x,
                                float (*sums)[kPanelRows]) {
  constexpr int kScales = kBlock / kScaleColumns;  // of a block
  constexpr int kQuads = kScaleColumns / 4;
  constexpr int kChains = kRows == 1   ? 4
                          : kRows == 2 ? 2
                                       : 1;  // hide the dot's latency when rows do not
  const FloatTag df;
  const IntTag di;
  for (size_t part = 0; part < kPanelRows; part += kLanes) {  // once with AVX-512
    FloatVector sum[kRows];
    unroll<kRows>([&](auto r) TESSERA_INLINE_LAMBDA { sum[r] = hn::Load(df, sums[r] + part); });
    for (int s = 0; s < blocks * kScales; ++s) {
      const int b = s / kScales;
      const int8_t* codes = x.codes + b * kRows * kBlock + s % kScales * kScaleColumns;
      const int32_t* terms = x.terms + s * kRows;
      const uint8_t* w = weights + static_cast<size_t>(s) * kQuads * kQuadBytes + part * 4;

      IntVector dot[kRows * kChains];
      unroll<kRows * kChains>([&](auto i) TESSERA_INLINE_LAMBDA {
        dot[i] = kMin || i >= kRows ? hn::Zero(di) : hn::Set(di, terms[i]);
      });
      unroll<kQuads>([&](auto quad) TESSERA_INLINE_LAMBDA {
        const IntVector wq = hn::Load(di, reinterpret_cast<const int32_t*>(w + quad * kQuadBytes));
        unroll<kRows>([&](auto r) TESSERA_INLINE_LAMBDA {
          constexpr int i = r + quad % kChains * kRows;
          dot[i] = dot4<kWide>(di, dot[i], wq, broadcast(codes + r * kBlock + quad * 4));
        });
      });
      unroll<kRows*(kChains - 1)>([&](auto i) TESSERA_INLINE_LAMBDA {
        dot[i % kRows] = hn::Add(dot[i % kRows], dot[i + kRows]);
      });

      const FloatVector scale = hn::Load(df, chunk.scales[s] + part);
      unroll<kRows>([&](auto r) TESSERA_INLINE_LAMBDA {
        const FloatVector both = hn::Mul(scale, hn::Set(df, x.scales[b * kRows + r]));
        sum[r] = hn::MulAdd(hn::ConvertTo(df, dot[r]), both, sum[r]);
      });
      if constexpr (kMin) {
        const FloatVector min = hn::Load(df, chunk.mins[s] + part);
        unroll<kRows>([&](auto r) TESSERA_INLINE_LAMBDA {
          sum[r] = hn::MulAdd(min, hn::Set(df, std::bit_cast<float>(terms[r])), sum[r]);
        });
      }
    }
    unroll<kRows>([&](auto r) TESSERA_INLINE_LAMBDA { hn::Store(sum[r], df, sums[r] + part); });
  }
}

using MultiplyTile = void (*)(const uint8_t*, const Chunk&, int, TileChunk, float (*)[kPanelRows]);

template <int kScaleColumns, bool kMin, bool kWide>
MultiplyTile tile_kernel(int rows) {
  switch (rows) {
    case 1:
      return multiply_tile<1, kScaleColumns, kMin, kWide>;
    case 2:
      return multiply_tile<2, kScaleColumns, kMin, kWide>;
    case 4:
      return multiply_tile<4, kScaleColumns, kMin, kWide>;
    default:
      return multiply_tile<8, kScaleColumns, kMin, kWide>;
  }
}

MultiplyTile tile_kernel(const Layout& layout, int rows) {
  const bool has_minimum = has_min(layout.scales);
  if (scale_columns(layout.scales) == 16) {
    return has_minimum ? tile_kernel<16, true, false>(rows) : tile_kernel<16, false, false>(rows);
  }
  if (has_minimum) return tile_kernel<32, true, false>(rows);
  return layout.wide() ? tile_kernel<32, false, true>(rows) : tile_kernel<32, false, false>(rows);
}

// Expands 256 columns at a time and multiplies them with every tile while they are in the cache.
void multiply_panel(const Layout& layout, const std::byte* panel, const QuantizedRows& rows,
                    const int32_t* terms, int first_tile, int end_tile, float (*sums)[kPanelRows]) {
  const auto* codes = reinterpret_cast<const uint8_t*>(panel);
  const uint8_t* scales = codes + layout.code_bytes(rows.columns);
  const MultiplyTile kernel = tile_kernel(layout, kTileRows);
  const int last_rows = rows.tile_rows(end_tile - 1);
  const MultiplyTile last_kernel = tile_kernel(layout, last_rows);
  const size_t blocks_of_row = static_cast<size_t>(rows.columns) / kBlock;
  const int scales_of_block = kBlock / scale_columns(layout.scales);

  const int sum_rows = (end_tile - 1 - first_tile) * kTileRows + last_rows;
  std::memset(sums, 0, static_cast<size_t>(sum_rows) * sizeof(*sums));
  Chunk chunk;
  for (int first = 0; first < rows.columns; first += kSuperBlock) {
    const int blocks = std::min(kSuperBlock, rows.columns - first) / kBlock;
    const uint8_t* weights = expand_codes(layout, codes, first, blocks, chunk);
    expand_scales(layout.scales, scales, first, blocks, chunk);
    for (int tile = first_tile; tile < end_tile; ++tile) {
      const bool last = tile == end_tile - 1;
      const size_t block = static_cast<size_t>(tile) * kTileRows * blocks_of_row +
                           static_cast<size_t>(first) / kBlock * (last ? last_rows : kTileRows);
      const TileChunk x = {rows.codes + block * kBlock, rows.scales + block,
                           terms + block * scales_of_block};
      (last ? last_kernel : kernel)(weights, chunk, blocks, x,
                                    sums + (tile - first_tile) * kTileRows);
    }
  }
}

// 32 columns: codes, their sums by 16 columns, and the scale, which is returned.
HWY_INLINE float quantize_block(const float* x, int8_t* codes, int32_t* sums) {
  const FloatTag df;
  const IntTag di;
  const hn::Rebind<int8_t, FloatTag> d8;
  constexpr int kVectors = kBlock / static_cast<int>(kLanes);
  // As integers, magnitudes of floats are ordered, with infinity and then NaN at the top.
  IntVector top = hn::Zero(di);
  for (int i = 0; i < kVectors; ++i) {
    const auto bits = hn::BitCast(di, hn::LoadU(df, x + i * kLanes));
    top = hn::Max(top, hn::And(bits, hn::Set(di, 0x7fffffff)));
  }
  const float max = std::bit_cast<float>(hn::GetLane(hn::MaxOfLanes(di, top)));
  if (!(max >= 0x1p-100f && std::isfinite(max))) {  // 127 / max must be finite too
    std::memset(codes, 0, kBlock);
    sums[0] = sums[1] = 0;
    return max < 0x1p-100f ? 0.0f : std::numeric_limits<float>::quiet_NaN();
  }
  const auto inverse = hn::Set(df, 127.0f / max);
  for (int half = 0; half < 2; ++half) {
    IntVector sum = hn::Zero(di);
    for (int i = half * kVectors / 2; i < (half + 1) * kVectors / 2; ++i) {
      const auto code = hn::NearestInt(hn::Mul(hn::LoadU(df, x + i * kLanes), inverse));
      sum = hn::Add(sum, code);
      hn::StoreU(hn::DemoteTo(d8, code), d8, codes + i * kLanes);
    }
    sums[half] = hn::GetLane(hn::SumOfLanes(di, sum));
  }
  return max / 127.0f;
}

void quantize_tile(const Tensor& x, int tile, const QuantizedRows& rows) {
  const int count = rows.tile_rows(tile);
  const size_t blocks = static_cast<size_t>(rows.columns) / kBlock;
  const size_t base = static_cast<size_t>(tile) * kTileRows * blocks;
  for (int r = 0; r < count; ++r) {
    const int row = tile * kTileRows + r;
    for (size_t b = 0; b < blocks; ++b) {
      const size_t at = base + b * count + r;
      int32_t sums[2] = {0, 0};
      if (row < rows.rows) {
        rows.scales[at] = quantize_block(x.row(row) + b * kBlock, rows.codes + at * kBlock, sums);
      } else {
        rows.scales[at] = 0.0f;
        std::memset(rows.codes + at * kBlock, 0, kBlock);
      }
      for (int half = 0; half < 2; ++half)
        rows.sums[(base + b * count) * 2 + half * count + r] = sums[half];
    }
  }
}

}  // namespace tessera::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tessera::cpu {

HWY_EXPORT(multiply_panel);
HWY_EXPORT(quantize_tile);

void multiply_panel(const Layout& layout, const std::byte* panel, const QuantizedRows& rows,
                    const int32_t* terms, int first_tile, int end_tile, float (*sums)[kPanelRows]) {
  HWY_DYNAMIC_DISPATCH(multiply_panel)(layout, panel, rows, terms, first_tile, end_tile, sums);
}

void quantize_tile(const Tensor& x, int tile, const QuantizedRows& rows) {
  HWY_DYNAMIC_DISPATCH(quantize_tile)(x, tile, rows);
}

void make_terms(const Layout& layout, const QuantizedRows& rows, int tile, int32_t* terms) {
  const int count = rows.tile_rows(tile);
  const int per_block = kBlock / scale_columns(layout.scales);
  const size_t blocks = static_cast<size_t>(rows.columns) / kBlock;
  const size_t base = static_cast<size_t>(tile) * kTileRows * blocks;
  const float* scales = rows.scales + base;
  const int32_t* sums = rows.sums + base * 2;
  terms += base * per_block;
  for (size_t b = 0; b < blocks; ++b, scales += count, sums += 2 * count) {
    for (int s = 0; s < per_block; ++s, terms += count) {
      for (int r = 0; r < count; ++r) {
        const int32_t sum = per_block == 2 ? sums[s * count + r] : sums[r] + sums[count + r];
        terms[r] = has_min(layout.scales)
                       ? std::bit_cast<int32_t>(scales[r] * static_cast<float>(sum))
                       : -layout.zero_point * sum;
      }
    }
  }
}

}  // namespace tessera::cpu
#endif
