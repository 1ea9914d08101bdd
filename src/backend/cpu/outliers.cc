#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/outliers.cc"
#include "base/simd/simd_targets.h"
//
#include <hwy/foreach_target.h>
//
#include <algorithm>
#include <array>
#include <cmath>

#include "backend/cpu/expand.h"
#include "backend/cpu/lanes.h"
#include "backend/cpu/outliers.h"

HWY_BEFORE_NAMESPACE();
namespace tessera::cpu::HWY_NAMESPACE {

// The code of row `r` in a column, the one at `byte` (0 .. 3) of quad vector `quad` of a block: see
// the planes in layout.h.
int code_at(CodeKind kind, const uint8_t* block, int quad, int byte, int r) {
  const auto plane = [&](int vector) { return block[vector * kQuadBytes + 4 * r + byte]; };
  const auto low2 = [&](int first) { return (plane(first + quad % 2) >> (quad / 2 * 2)) & 3; };
  const auto low4 = [&] { return (plane(quad % 4) >> (quad / 4 * 4)) & 15; };
  switch (kind) {
    case CodeKind::k2:
      return low2(0);
    case CodeKind::k3:
      return low2(0) | (((plane(2) >> quad) & 1) << 2);
    case CodeKind::k4:
      return low4();
    case CodeKind::k5:
      return low4() | (((plane(4) >> quad) & 1) << 4);
    case CodeKind::k6:
      return low4() | (low2(4) << 4);
    case CodeKind::k8:
      break;
  }
  return plane(quad);
}

// What a code stands for before its scale.
float level_of(const Layout& layout, int code) {
  switch (layout.lookup) {
    case Lookup::kNone:
      break;
    case Lookup::kTable:
      return static_cast<float>(layout.table[code] - layout.zero_point);
    case Lookup::kWide:
      return static_cast<float>(256 * (layout.table[code] - kLevelZero) + layout.low_table[code]);
  }
  return static_cast<float>(code - (has_min(layout.scales) ? 0 : layout.zero_point));
}

// The weights of a column, decoded.
void decode_column(const Layout& layout, const std::byte* panel, int columns, int column,
                   float* weights) {
  const int first = column / kSuperBlock, in_chunk = column % kSuperBlock;
  const int blocks = std::min(kChunkBlocks, padded_blocks(columns) - first * kChunkBlocks);
  const auto* chunk = reinterpret_cast<const uint8_t*>(panel) +
                      static_cast<size_t>(first) * layout.chunk_bytes(kChunkBlocks);
  Chunk scales;
  expand_scales(layout, chunk, blocks, scales);
  const int scale = in_chunk / layout.scale_columns;
  const uint8_t* block =
      chunk + layout.scale_bytes(blocks) +
      static_cast<size_t>(in_chunk / kBlock * code_vectors(layout.codes)) * kQuadBytes;
  const int quad = in_chunk % kBlock / 4, byte = in_chunk % 4;
  for (int r = 0; r < kPanelRows; ++r) {
    const float level = level_of(layout, code_at(layout.codes, block, quad, byte, r));
    weights[r] = scales.scales[scale][r] * level;
    if (has_min(layout.scales)) weights[r] += scales.mins[scale][r];
  }
}

void add_outliers(const Layout& layout, const std::byte* panel, int columns,
                  const std::vector<RowOutliers>& rows, int first_row, int end_row,
                  float (*sums)[kPanelRows]) {
  // Rows have most of their outliers in the same columns: each is decoded once.
  std::vector<int32_t> wanted;
  for (int row = first_row; row < end_row; ++row) {
    for (const Outlier& outlier : rows[static_cast<size_t>(row)]) wanted.push_back(outlier.column);
  }
  std::ranges::sort(wanted);
  wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
  alignas(64) float weights[kPanelRows];
  std::vector<size_t> next(static_cast<size_t>(end_row - first_row));  // of each row's outliers
  const FloatTag df;
  for (const int32_t column : wanted) {
    decode_column(layout, panel, columns, column, weights);
    for (int row = first_row; row < end_row; ++row) {
      const RowOutliers& outliers = rows[static_cast<size_t>(row)];
      size_t& at = next[static_cast<size_t>(row - first_row)];
      if (at == outliers.size() || outliers[at].column != column) continue;
      const auto value = hn::Set(df, outliers[at++].value);
      float* sum = sums[row - first_row];
      for (size_t r = 0; r < kPanelRows; r += kLanes) {
        hn::StoreU(hn::Add(hn::LoadU(df, sum + r), hn::Mul(value, hn::Load(df, weights + r))), df,
                   sum + r);
      }
    }
  }
}

}  // namespace tessera::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tessera::cpu {

HWY_EXPORT(add_outliers);

void take_outliers(const float* from, int columns, float threshold, float* to,
                   RowOutliers& outliers) {
  outliers.clear();
  for (int c = 0; c < columns; ++c) {
    const bool large = std::fabs(from[c]) >= threshold && std::isfinite(from[c]);
    to[c] = large ? 0.0f : from[c];
    if (large) outliers.push_back({c, from[c]});
  }
}

void add_outliers(const Layout& layout, const std::byte* panel, int columns,
                  const std::vector<RowOutliers>& rows, int first_row, int end_row,
                  float (*sums)[kPanelRows]) {
  HWY_DYNAMIC_DISPATCH(add_outliers)(layout, panel, columns, rows, first_row, end_row, sums);
}

}  // namespace tessera::cpu
#endif
