// Quantizes activations to int8, row by row, 32 columns at a time.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/activations.cc"
#include "base/simd/simd_targets.h"
//
#include <hwy/foreach_target.h>
//
#include <bit>
#include <cstring>
#include <limits>
#include <numeric>

#include "backend/cpu/activations.h"
#include "backend/cpu/dot4.h"
#include "backend/cpu/lanes.h"

HWY_BEFORE_NAMESPACE();
namespace tessera::cpu::HWY_NAMESPACE {

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
    const auto rounded = hn::Add(hn::Mul(hn::LoadU(df, x + i), inverse), hn::Set(df, kMagic));
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

void quantize_tile(const HostTensor& x, int tile, const QuantizedRows& rows) {
  const int count = rows.tile_rows(tile);
  const auto blocks = static_cast<size_t>(padded_blocks(rows.columns));
  const auto real_blocks = static_cast<size_t>(rows.columns) / kBlock;
  const size_t base = static_cast<size_t>(tile) * kTileRows * blocks;
  for (int r = 0; r < count; ++r) {
    const int row = tile * kTileRows + r;
    const float* from = row < rows.rows ? x.row(row) : nullptr;
    int8_t* codes = rows.codes + (base + r) * kBlock;
    float* scales = rows.scales + base + r;
    for (size_t b = 0; b < blocks; ++b, codes += count * kBlock, scales += count) {
      if (from != nullptr && b < real_blocks) {
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

HWY_EXPORT(quantize_tile);

void quantize_tile(const HostTensor& x, int tile, const QuantizedRows& rows) {
  HWY_DYNAMIC_DISPATCH(quantize_tile)(x, tile, rows);
}

void make_terms(const Layout& layout, const QuantizedRows& rows, int tile, int32_t* terms) {
  const int count = rows.tile_rows(tile);
  const int per_block = kBlock / layout.scale_columns;
  const auto blocks = static_cast<size_t>(padded_blocks(rows.columns));
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
                       : kMagicBits - layout.zero_point * sum;
      }
    }
  }
}

}  // namespace tessera::cpu
#endif
