// Multiplies a panel chunk by chunk. The loops that take the time are in dot_kernels-inl.h.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/quantized.cc"
#include "base/simd/simd_targets.h"
//
#include <hwy/foreach_target.h>
//
#include <algorithm>
#include <cstring>

#include "backend/cpu/dot_kernels.h"
#include "backend/cpu/expand.h"
#include "backend/cpu/lanes.h"
#include "backend/cpu/quantized.h"

HWY_BEFORE_NAMESPACE();
namespace tessera::cpu::HWY_NAMESPACE {

// Returns where the codes lie: in `to`, or where they were if they are bytes already.
const uint8_t* expand_codes(const Layout& layout, const uint8_t* from, int blocks, uint8_t* to) {
  switch (layout.codes) {
    case CodeKind::k2:
      expand_codes<CodeKind::k2, Lookup::kNone>(from, blocks, layout, to);
      break;
    case CodeKind::k3:
      expand_codes<CodeKind::k3, Lookup::kNone>(from, blocks, layout, to);
      break;
    case CodeKind::k4:
      if (layout.lookup == Lookup::kWide) {
        expand_codes<CodeKind::k4, Lookup::kWide>(from, blocks, layout, to);
      } else if (layout.lookup == Lookup::kTable) {
        expand_codes<CodeKind::k4, Lookup::kTable>(from, blocks, layout, to);
      } else {
        expand_codes<CodeKind::k4, Lookup::kNone>(from, blocks, layout, to);
      }
      break;
    case CodeKind::k5:
      expand_codes<CodeKind::k5, Lookup::kNone>(from, blocks, layout, to);
      break;
    case CodeKind::k6:
      expand_codes<CodeKind::k6, Lookup::kNone>(from, blocks, layout, to);
      break;
    case CodeKind::k8:
      return from;
  }
  return to;
}

// Multiplies 256 columns at a time with every tile while they are in the cache.
void multiply_panel(const Layout& layout, const std::byte* panel, const QuantizedRows& rows,
                    const int32_t* terms, int first_tile, int end_tile, float (*sums)[kPanelRows]) {
  const AloneKernels alone_kernel = alone_kernels(layout);
  const MultiplyTile expanded_tile = expanded_kernel(layout);
  const int blocks_of_row = padded_blocks(rows.columns);
  const int scales_of_block = kBlock / layout.scale_columns;
  const int last_rows = rows.tile_rows(end_tile - 1);
  const bool alone = end_tile - first_tile == 1;

  const int sum_rows = (end_tile - 1 - first_tile) * kTileRows + last_rows;
  std::memset(sums, 0, static_cast<size_t>(sum_rows) * sizeof(*sums));
  Chunk chunk;
  const auto* from = reinterpret_cast<const uint8_t*>(panel);
  for (int first = 0; first < blocks_of_row; first += kChunkBlocks) {
    const int blocks = std::min(kChunkBlocks, blocks_of_row - first);
    const uint8_t* codes = from + layout.scale_bytes(blocks);
    expand_scales(layout, from, blocks, chunk);
    const uint8_t* expanded = alone ? nullptr : expand_codes(layout, codes, blocks, chunk.codes);
    const size_t bytes = layout.chunk_bytes(blocks);
    const auto tiles = static_cast<size_t>(end_tile - first_tile);
    // Each tile fetches its share; the first one of the next chunk will want all of it at once.
    Weights w = {codes,
                 layout.table.data(),
                 layout.low_table.data(),
                 chunk.scales,
                 chunk.mins,
                 blocks,
                 tiles == 1 ? codes : codes + bytes - kNearAhead,
                 bytes / (tiles * 8 * static_cast<size_t>(blocks))};
    for (int tile = first_tile; tile < end_tile; ++tile) {
      const int tile_rows = tile == end_tile - 1 ? last_rows : kTileRows;
      const size_t block = static_cast<size_t>(tile) * kTileRows * blocks_of_row +
                           static_cast<size_t>(first) * tile_rows;
      const Activations x = {rows.codes + block * kBlock, rows.scales + block,
                             terms + block * scales_of_block};
      const bool shared = !alone && tile_rows == kTileRows;
      w.codes = shared ? expanded : codes;
      const MultiplyTile multiply = shared           ? expanded_tile
                                    : tile_rows == 1 ? alone_kernel.one
                                                     : alone_kernel.full;
      multiply(w, x, sums + (tile - first_tile) * kTileRows);
      w.stream += bytes / tiles;
    }
    from += bytes;
  }
}

}  // namespace tessera::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tessera::cpu {

HWY_EXPORT(multiply_panel);

void multiply_panel(const Layout& layout, const std::byte* panel, const QuantizedRows& rows,
                    const int32_t* terms, int first_tile, int end_tile, float (*sums)[kPanelRows]) {
  HWY_DYNAMIC_DISPATCH(multiply_panel)(layout, panel, rows, terms, first_tile, end_tile, sums);
}

}  // namespace tessera::cpu
#endif
