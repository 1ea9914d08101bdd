// Weights in compute layouts.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/float_panel.h"
#include "backend/cpu/layout.h"
#include "base/swap_file.h"
#include "base/thread_pool.h"

namespace tessera::cpu {

// Rows of a matrix in one layout, cut into panels; the last one is padded with zero rows.
struct Segment {
  std::optional<Layout> layout;  // nothing: floats
  FloatLayout floats;
  size_t input = 0;  // 0: columns meet inputs as they come, else in order number input - 1
  int first_row = 0, rows = 0;
  size_t panel_bytes = 0;
  const std::byte* first_panel = nullptr;
  size_t panel_stride = 0;

  int panels() const { return (rows + kPanelRows - 1) / kPanelRows; }
  const std::byte* panel(int p) const { return first_panel + p * panel_stride; }
};

// Hands out zeroed memory for the matrices of a model from large buffers, which lie on huge pages:
// small matrices alone would not, and a kernel that streams through them would wait for page walks.
class WeightArena {
 public:
  // In `file`, unless that is nullptr.
  explicit WeightArena(std::unique_ptr<SwapFile> file = nullptr) : file_(std::move(file)) {}

  // Whoever keeps it keeps the buffer. At the start of a cache line.
  std::shared_ptr<std::byte> take(size_t bytes);
  bool in_file() const { return file_ != nullptr; }

 private:
  std::shared_ptr<std::byte> new_buffer(size_t bytes) const;

  std::unique_ptr<SwapFile> file_;
  std::shared_ptr<std::byte> buffer_;
  size_t size_ = 0, used_ = 0;  // of the buffer
};

// Segments lie behind each other; those of two parts alike (gate and up) panel by panel, so that
// who reads both reads one stream.
class CpuMatrix final : public Matrix {
 public:
  std::vector<Segment> segments;  // one for each part
  // Orders of columns that parts have, each once: column c meets input order[c].
  std::vector<std::vector<uint32_t>> orders;
  std::shared_ptr<std::byte> data;
  bool in_file = false;  // of which some may not be in memory
};

// Has what is not in memory read, if the matrix is in a file.
inline void prefetch(const CpuMatrix& matrix) {
  if (matrix.in_file) SwapFile::read_ahead(matrix.data.get(), matrix.bytes);
}

// Throws Error if a part's bytes are not rows x columns of a format that the backend can multiply.
std::unique_ptr<Matrix> load_matrix(ThreadPool& pool, WeightArena& arena,
                                    std::span<const Backend::WeightPart> parts, int columns);

}  // namespace tessera::cpu
