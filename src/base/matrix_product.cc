// Tiles of C, each summed over panels of kDepth, from a copy of B (and of A, where its rows are not
// contiguous) that lies as the innermost loop reads it (Goto & van de Geijn 2008).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "base/matrix_product.cc"
#include "base/simd/simd_targets.h"
//
#include <hwy/foreach_target.h>

#include "base/simd/simd.h"
//
#include "base/matrix_product.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

HWY_BEFORE_NAMESPACE();
namespace tessera::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using DF = hn::ScalableTag<float>;
constexpr size_t kLanes = hn::MaxLanes(DF());
constexpr size_t kStripRows = 6, kStripColumns = 2 * kLanes;  // of C, in registers
constexpr size_t kDepth = 256;

// One strip of B, [depth, kStripColumns], of which `count` columns are there; zeros behind them.
void pack_columns(Operand b, size_t depth, size_t count, float* out) {
  if (b.column == 1) {
    for (size_t k = 0; k < depth; ++k, out += kStripColumns) {
      const float* row = b.data + k * b.row;
      if (count == kStripColumns) {
        std::memcpy(out, row,
                    kStripColumns * sizeof(float));  // of a length that the compiler knows
      } else {
        std::fill(std::copy_n(row, count, out), out + kStripColumns, 0.0f);
      }
    }
    return;
  }
  if (count < kStripColumns) {
    for (size_t k = 0; k < depth; ++k, out += kStripColumns) {
      for (size_t j = 0; j < count; ++j) out[j] = b.data[k + j * b.column];
      std::fill(out + count, out + kStripColumns, 0.0f);
    }
    return;
  }
  const DF df;
  const hn::RebindToSigned<DF> di;
  const auto places = hn::Mul(hn::Iota(di, 0), hn::Set(di, static_cast<int32_t>(b.column)));
  const float* half = b.data + kLanes * b.column;
  for (size_t k = 0; k < depth; ++k, out += kStripColumns) {
    hn::Store(hn::GatherIndex(df, b.data + k, places), df, out);
    hn::Store(hn::GatherIndex(df, half + k, places), df, out + kLanes);
  }
}

// One strip of A whose columns are contiguous, as [depth, kStripRows]. What stands for rows behind
// the last is never read from C.
void pack_rows(Operand a, size_t depth, size_t count, float* out) {
  for (size_t k = 0; k < depth; ++k, out += kStripRows) {
    const float* column = a.data + k * a.column;
    if (count == kStripRows) {
      std::memcpy(out, column, kStripRows * sizeof(float));
    } else {
      std::copy_n(column, count, out);
    }
  }
}

// c, [kStripRows, kStripColumns], = factor * A B: element (i, k) of A is a[i][k * step].
void multiply_strips(const float* const* a, size_t step, const float* b, size_t depth, float factor,
                     float* c) {
  const DF df;
  hn::Vec<DF> sums[kStripRows][2];
  for (auto& row : sums) row[0] = row[1] = hn::Zero(df);
  for (size_t k = 0; k < depth; ++k, b += kStripColumns) {
    const auto b0 = hn::Load(df, b), b1 = hn::Load(df, b + kLanes);
    for (size_t i = 0; i < kStripRows; ++i) {
      const auto ai = hn::Set(df, a[i][k * step]);
      sums[i][0] = hn::MulAdd(ai, b0, sums[i][0]);
      sums[i][1] = hn::MulAdd(ai, b1, sums[i][1]);
    }
  }
  const auto by = hn::Set(df, factor);
  for (size_t i = 0; i < kStripRows; ++i) {
    hn::Store(hn::Mul(by, sums[i][0]), df, c + i * kStripColumns);
    hn::Store(hn::Mul(by, sums[i][1]), df, c + i * kStripColumns + kLanes);
  }
}

// `below`: how many rows the first of these lies below the diagonal's place in their first column.
void store(const float* strip, size_t rows, size_t columns, float* c, size_t stride, Into into,
           ptrdiff_t below) {
  for (size_t r = 0; r < rows; ++r, strip += kStripColumns, c += stride, ++below) {
    size_t width = columns;
    if (into == Into::kReplace) {
      std::copy_n(strip, columns, c);
      continue;
    }
    if (into == Into::kAddLower)
      width = std::min(columns, static_cast<size_t>(std::max<ptrdiff_t>(0, below + 1)));
    for (size_t s = 0; s < width; ++s) c[s] += strip[s];
  }
}

void multiply_tile(Operand a, Operand b, size_t rows, size_t depth, size_t columns, float factor,
                   float* c, size_t stride, Into into, ptrdiff_t below) {
  const size_t strips = (columns + kStripColumns - 1) / kStripColumns;
  const size_t row_strips = (rows + kStripRows - 1) / kStripRows;
  const bool copies_rows = a.column != 1;
  thread_local std::vector<float> memory;
  const size_t b_size = strips * kStripColumns * kDepth;
  memory.resize(b_size + 16 + (copies_rows ? row_strips * kStripRows * kDepth : 0));
  float* packed_b = memory.data();
  packed_b += (64 - reinterpret_cast<uintptr_t>(packed_b) % 64) % 64 / sizeof(float);
  float* packed_a = packed_b + b_size;
  HWY_ALIGN float strip[kStripRows * kStripColumns];
  for (size_t k = 0; k < depth; k += kDepth) {
    const size_t count = std::min(kDepth, depth - k);
    for (size_t j = 0; j < strips; ++j) {
      const size_t first = j * kStripColumns;
      pack_columns({b.data + k * b.row + first * b.column, b.row, b.column}, count,
                   std::min(kStripColumns, columns - first), packed_b + first * count);
    }
    if (copies_rows) {
      for (size_t i = 0; i < row_strips; ++i) {
        const size_t first = i * kStripRows;
        pack_rows({a.data + k * a.column + first, 1, a.column}, count,
                  std::min(kStripRows, rows - first), packed_a + first * count);
      }
    }
    for (size_t j = 0; j < columns; j += kStripColumns) {
      for (size_t i = 0; i < rows; i += kStripRows) {
        const ptrdiff_t here = below + static_cast<ptrdiff_t>(i) - static_cast<ptrdiff_t>(j);
        if (into == Into::kAddLower && here + static_cast<ptrdiff_t>(kStripRows) <= 0) continue;
        const float* at[kStripRows];
        for (size_t r = 0; r < kStripRows; ++r) {
          at[r] = copies_rows ? packed_a + i * count + r
                              : a.data + std::min(i + r, rows - 1) * a.row + k;
        }
        multiply_strips(at, copies_rows ? kStripRows : 1, packed_b + j * count, count, factor,
                        strip);
        store(strip, std::min(kStripRows, rows - i), std::min(kStripColumns, columns - j),
              c + i * stride + j, stride, k > 0 && into == Into::kReplace ? Into::kAdd : into,
              here);
      }
    }
  }
}

}  // namespace tessera::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tessera {
namespace {

HWY_EXPORT(multiply_tile);

constexpr size_t kTileRows = 240, kTileColumns = 96;

}  // namespace

void multiply(ThreadPool* pool, Operand a, Operand b, size_t rows, size_t depth, size_t columns,
              float factor, float* c, size_t c_stride, Into into) {
  if (depth == 0 && into == Into::kReplace)
    for (size_t r = 0; r < rows; ++r) std::fill_n(c + r * c_stride, columns, 0.0f);
  if (rows == 0 || columns == 0 || depth == 0) return;
  const size_t across = (columns + kTileColumns - 1) / kTileColumns;
  const size_t down = (rows + kTileRows - 1) / kTileRows;
  const auto run = [&](int index, int) {
    const size_t i = static_cast<size_t>(index) / across * kTileRows;
    const size_t j = static_cast<size_t>(index) % across * kTileColumns;
    const size_t height = std::min(kTileRows, rows - i);
    if (into == Into::kAddLower && i + height <= j) return;
    HWY_DYNAMIC_DISPATCH(multiply_tile)
    ({a.data + i * a.row, a.row, a.column}, {b.data + j * b.column, b.row, b.column}, height, depth,
     std::min(kTileColumns, columns - j), factor, c + i * c_stride + j, c_stride, into,
     static_cast<ptrdiff_t>(i) - static_cast<ptrdiff_t>(j));
  };
  const int tiles = static_cast<int>(across * down);
  if (pool != nullptr && tiles > 1) return pool->parallel_for(tiles, run);
  for (int tile = 0; tile < tiles; ++tile) run(tile, 0);
}

}  // namespace tessera
#endif
