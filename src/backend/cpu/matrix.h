// Weights in compute layouts.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/float_panel.h"
#include "backend/cpu/layout.h"
#include "backend/cpu/thread_pool.h"
#include "base/aligned_buffer.h"

namespace tessera::cpu {

// Rows of a matrix in one layout: panels behind each other, the last one padded with zero rows.
struct Segment {
  const Layout* layout = nullptr;  // nullptr: floats
  FloatKind float_kind = FloatKind::kF32;
  int first_row = 0, rows = 0;
  size_t panel_bytes = 0;
  AlignedBuffer data;

  int panels() const { return (rows + kPanelRows - 1) / kPanelRows; }
  const std::byte* panel(int p) const { return data.data() + p * panel_bytes; }
};

class CpuMatrix final : public Matrix {
 public:
  std::vector<Segment> segments;  // one for each part
};

// Throws Error if a part's bytes are not rows x columns of a format that the backend can multiply.
std::unique_ptr<Matrix> load_matrix(ThreadPool& pool, std::span<const Backend::WeightPart> parts,
                                    int columns);

}  // namespace tessera::cpu
