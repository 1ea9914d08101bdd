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
#include "backend/cpu/expand_codes.h"
#include "backend/cpu/lanes.h"
#include "backend/cpu/quantized.h"

HWY_BEFORE_NAMESPACE();
namespace tessera::cpu::HWY_NAMESPACE {

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
    const bool spreads = layout.is_sparse() && alone_kernel.spread;
    const uint8_t* unpacked = spreads ? unpack_kept(layout, codes, blocks, chunk) : codes;
    const bool is_expanded = !alone || (layout.is_sparse() && !spreads);
    const uint8_t* expanded = is_expanded ? expand_codes(layout, codes, blocks, chunk) : nullptr;
    if (layout.is_sparse() && !spreads) unpacked = expanded;
    const size_t bytes = layout.chunk_bytes(blocks);
    const auto tiles = static_cast<size_t>(end_tile - first_tile);
    // Each tile fetches its share; what is unpacked of the next chunk is wanted at once.
    Weights w = {codes,
                 layout.is_sparse() ? masks_of(layout, codes, blocks) : nullptr,
                 static_cast<uint8_t>(layout.zero_point),
                 layout.table.data(),
                 layout.low_table.data(),
                 chunk.scales,
                 chunk.mins,
                 blocks,
                 is_expanded || unpacked != codes ? codes + bytes - kNearAhead : codes,
                 bytes / (tiles * 8 * static_cast<size_t>(blocks))};
    for (int tile = first_tile; tile < end_tile; ++tile) {
      const int tile_rows = tile == end_tile - 1 ? last_rows : kTileRows;
      const size_t block = static_cast<size_t>(tile) * kTileRows * blocks_of_row +
                           static_cast<size_t>(first) * tile_rows;
      const Activations x = {rows.codes + block * kBlock, rows.scales + block,
                             terms + block * scales_of_block};
      const bool shared = !alone && tile_rows == kTileRows;
      w.codes = shared ? expanded : unpacked;
      const MultiplyTile multiply = shared           ? expanded_tile
                                    : tile_rows == 1 ? alone_kernel.one
                                                     : alone_kernel.full;
      multiply(w, x, sums + (tile - first_tile) * kTileRows);
      w.stream += bytes / tiles;
    }
    from += bytes;
  }
}

bool expands_fast() {
  return kSpreadsFast;
}

}  // namespace tessera::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tessera::cpu {

HWY_EXPORT(multiply_panel);
HWY_EXPORT(expands_fast);

void multiply_panel(const Layout& layout, const std::byte* panel, const QuantizedRows& rows,
                    const int32_t* terms, int first_tile, int end_tile, float (*sums)[kPanelRows]) {
  HWY_DYNAMIC_DISPATCH(multiply_panel)(layout, panel, rows, terms, first_tile, end_tile, sums);
}

bool expands_fast() {
  return HWY_DYNAMIC_DISPATCH(expands_fast)();
}

}  // namespace tessera::cpu
#endif
