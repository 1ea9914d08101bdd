// The kernels that multiply some blocks of a panel with a tile of activations: one for each kind of
// codes and scales that formats need, compiled in three files, at once (dot_kernels-inl.h).
#pragma once

#include <cstddef>
#include <cstdint>

#include "backend/cpu/layout.h"

namespace tessera::cpu {

// Some blocks of a panel.
struct Weights {
  const uint8_t* codes;
  const uint8_t* masks;  // of sparse codes, for kernels that spread them
  uint8_t zero;          // and what is between them
  const uint8_t *table, *low_table;
  const float (*scales)[kPanelRows];
  const float (*mins)[kPanelRows];
  int blocks;  // even
  // Each quad fetches what lies ahead of here, `stream_stride` bytes further: so memory is never
  // idle, and its queue never full.
  const uint8_t* stream;
  size_t stream_stride;
};

// Where a tile's part of these blocks lies.
struct Activations {
  const int8_t* codes;
  const float* scales;
  const int32_t* terms;
};

// Adds to the sums of a tile's rows.
using MultiplyTile = void (*)(const Weights&, const Activations&, float (*)[kPanelRows]);

// Of a tile that is alone, or not full: they unpack codes as they go. Sparse ones, of any format,
// come as bytes, and without their zeros if the kernel spreads them.
struct AloneKernels {
  MultiplyTile one, full;  // of 1 row, of kTileRows
  bool spread = false;     // sparse codes
};
AloneKernels alone_kernels_of_narrow_codes(const Layout& layout);  // of 2 to 4 bits, not looked up
AloneKernels alone_kernels_of_wide_codes(const Layout& layout);    // all others
inline AloneKernels alone_kernels(const Layout& layout) {
  const bool narrow =
      layout.codes <= CodeKind::k4 && layout.lookup == Lookup::kNone && !layout.is_sparse();
  return narrow ? alone_kernels_of_narrow_codes(layout) : alone_kernels_of_wide_codes(layout);
}

// Of full tiles in company: they share codes that were expanded (expand.h).
MultiplyTile expanded_kernel(const Layout& layout);

}  // namespace tessera::cpu
