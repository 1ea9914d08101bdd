// The dot kernel of all quantized formats. The loop that matters is in `multiply_rows`.
//
// For T rows of activations and 16 rows of weights, a block of 32 columns takes, with AVX-512 VNNI,
//   8 loads of weights, 8 T dot instructions (64 products each) on a broadcast of 4 activations;
//   then 3 T float instructions (to float, scale * scale, multiply-add), one more T with a min.
// Two ports run all of these. With 12 rows 96 of 132 to 144 are dots: about 70 % of the int8 peak
// is the bound, before expansion and quantization (bench/linear_bench.cc measures all). With 1 row
// it is 11 instructions for 128 to 512 bytes of weights, after the 25 to 50 of expand.h: less time
// than memory takes to deliver them. So decoding is bound by memory, prompts by the dot
// instruction.
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
#include <cstring>
#include <limits>
#include <numeric>

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

// Adds `blocks` blocks of 32 columns to sums[first .. first + kRows), rows of a tile of kTile, for
// the kLanes outputs from `part` on.
template <int kTile, int kRows, int kScaleColumns, bool kMin, bool kWide>
HWY_INLINE void multiply_rows(const uint8_t* weights, const Chunk& chunk, int blocks,
                              const TileChunk& x, int first, size_t part,
                              float (*sums)[kPanelRows]) {
  constexpr int kScales = kBlock / kScaleColumns;  // of a block
  constexpr int kQuads = kScaleColumns / 4;
  // Partial dots that hide the instruction's latency where there are not rows enough to do so.
  constexpr int kChains = kRows == 1 ? 4 : kRows == 2 ? 2 : 1;
  const FloatTag df;
  const IntTag di;
  FloatVector sum[kRows];
  unroll<kRows>([&](auto r)
                    TESSERA_INLINE_LAMBDA { sum[r] = hn::Load(df, sums[first + r] + part); });
  for (int s = 0; s < blocks * kScales; ++s) {
    const int b = s / kScales;
    const int8_t* codes = x.codes + (b * kTile + first) * kBlock + s % kScales * kScaleColumns;
    const float* scales = x.scales + b * kTile + first;
    const int32_t* terms = x.terms + s * kTile + first;
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
      const FloatVector both = hn::Mul(scale, hn::Set(df, scales[r]));
      sum[r] = hn::MulAdd(hn::ConvertTo(df, dot[r]), both, sum[r]);
    });
    if constexpr (kMin) {
      const FloatVector min = hn::Load(df, chunk.mins[s] + part);
      unroll<kRows>([&](auto r) TESSERA_INLINE_LAMBDA {
        sum[r] = hn::MulAdd(min, hn::Set(df, std::bit_cast<float>(terms[r])), sum[r]);
      });
    }
  }
  unroll<kRows>([&](auto r)
                    TESSERA_INLINE_LAMBDA { hn::Store(sum[r], df, sums[first + r] + part); });
}

// All rows and outputs of a tile: at once with AVX-512, else as many at a time as 16 registers
// hold.
template <int kTile, int kScaleColumns, bool kMin, bool kWide>
HWY_NOINLINE void multiply_tile(const uint8_t* weights, const Chunk& chunk, int blocks, TileChunk x,
                                float (*sums)[kPanelRows]) {
  constexpr int kRows = kLanes >= 16 ? kTile : std::min(kTile, 4);
  for (int first = 0; first < kTile; first += kRows) {
    for (size_t part = 0; part < kPanelRows; part += kLanes) {
      multiply_rows<kTile, kRows, kScaleColumns, kMin, kWide>(weights, chunk, blocks, x, first,
                                                              part, sums);
    }
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
    case 8:
      return multiply_tile<8, kScaleColumns, kMin, kWide>;
    default:
      return multiply_tile<kTileRows, kScaleColumns, kMin, kWide>;
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

// Writes the codes of 32 columns and returns their scale.
HWY_INLINE float quantize_block(const float* x, int8_t* codes) {
  const FloatTag df;
  const IntTag di;
  const hn::RebindToUnsigned<IntTag> du;
  const hn::Rebind<uint8_t, FloatTag> d8;
  // As integers, magnitudes of floats are ordered, with infinity and then NaN at the top.
  IntVector top = hn::Zero(di);
  for (int i = 0; i < kBlock; i += kLanes) {
    top = hn::Max(top, hn::And(hn::BitCast(di, hn::LoadU(df, x + i)), hn::Set(di, 0x7fffffff)));
  }
  const float max = std::bit_cast<float>(hn::GetLane(hn::MaxOfLanes(di, top)));
  // Below the smallest, 127 / max would be infinite; such a block is as good as zero.
  constexpr float kSmallest = 0x1p-100f, kLargest = std::numeric_limits<float>::max();
  if (!(max >= kSmallest && max <= kLargest)) {
    std::memset(codes, 0, kBlock);
    return max < kSmallest ? 0.0f : std::numeric_limits<float>::quiet_NaN();
  }
  // Adding 1.5 x 2^23 rounds to the nearest integer, ties to even, and leaves it in the
  // lowest bits.
  const auto inverse = hn::Set(df, 127.0f / max);
  for (int i = 0; i < kBlock; i += kLanes) {
    const auto rounded = hn::Add(hn::Mul(hn::LoadU(df, x + i), inverse), hn::Set(df, 0x1.8p23f));
    const auto code = hn::U8FromU32(hn::And(hn::BitCast(du, rounded), hn::Set(du, 0xff)));
    hn::StoreU(code, d8, reinterpret_cast<uint8_t*>(codes + i));
  }
  return max / 127.0f;
}

// sums[i] = the sum of codes[16 i .. 16 i + 15], by dots with ones.
HWY_INLINE void sum_codes(const int8_t* codes, size_t count, int32_t* sums) {
#if HWY_TARGET == HWY_SCALAR
  for (size_t i = 0; i < count; ++i) {
    sums[i] = std::accumulate(codes + 16 * i, codes + 16 * (i + 1), 0);
  }
#else
  const IntTag di;
  HWY_ALIGN int32_t lanes[kLanes];
  constexpr size_t kSums = kLanes / 4;  // of a vector
  size_t i = 0;
  const auto sum_vector = [&](auto load, size_t at, size_t number) HWY_ATTR {
    auto sum = dot4<false>(di, hn::Zero(di), hn::Set(di, 0x01010101), load);
    sum = hn::Add(sum, hn::Shuffle2301(sum));
    hn::Store(hn::Add(sum, hn::Shuffle1032(sum)), di, lanes);
    for (size_t k = 0; k < number; ++k) sums[at + k] = lanes[4 * k];
  };
  for (; i + kSums <= count; i += kSums) {
    sum_vector(hn::LoadU(di, reinterpret_cast<const int32_t*>(codes + 16 * i)), i, kSums);
  }
  if (i < count) {  // half a vector of AVX-512 is left: count is even
    const auto half = hn::MaskedLoad(hn::FirstN(di, (count - i) * 4), di,
                                     reinterpret_cast<const int32_t*>(codes + 16 * i));
    sum_vector(half, i, count - i);
  }
#endif
}

void quantize_tile(const Tensor& x, int tile, const QuantizedRows& rows) {
  const int count = rows.tile_rows(tile);
  const size_t blocks = static_cast<size_t>(rows.columns) / kBlock;
  const size_t base = static_cast<size_t>(tile) * kTileRows * blocks;
  for (int r = 0; r < count; ++r) {
    const int row = tile * kTileRows + r;
    const float* from = row < rows.rows ? x.row(row) : nullptr;
    int8_t* codes = rows.codes + (base + r) * kBlock;
    float* scales = rows.scales + base + r;
    for (size_t b = 0; b < blocks; ++b, codes += count * kBlock, scales += count) {
      if (from != nullptr) {
        *scales = quantize_block(from + b * kBlock, codes);
      } else {
        *scales = 0.0f;
        std::memset(codes, 0, kBlock);
      }
    }
  }
  sum_codes(rows.codes + base * kBlock, blocks * count * 2, rows.sums + base * 2);
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
        const int32_t sum = per_block == 2 ? sums[2 * r + s] : sums[2 * r] + sums[2 * r + 1];
        terms[r] = has_min(layout.scales)
                       ? std::bit_cast<int32_t>(scales[r] * static_cast<float>(sum))
                       : -layout.zero_point * sum;
      }
    }
  }
}

}  // namespace tessera::cpu
#endif
