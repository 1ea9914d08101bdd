// What low-rank adapters add to a product on the CPU: scale * B (A x), in f32. Rows of different
// adapters take part in one product (Punica, Chen et al. 2023), each as it would alone.
//
// Both factors are read once a step, from end to end:
//
//   A  panels of kRankLanes ranks, the A's of all parts behind each other: [column][rank]
//   B  panels of kPanelRows rows, those of each part as the matrix has them: [rank][row]
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/layout.h"
#include "backend/cpu/matrix.h"
#include "backend/cpu/scratch.h"
#include "base/host_tensor.h"

namespace tessera::cpu {

inline constexpr int kRankLanes = 16;

class CpuLowRank final : public LowRank {
 public:
  // B of one part of the matrix.
  struct Up {
    int first_row = 0, rows = 0;    // of the matrix
    int first_rank = 0, ranks = 0;  // of A's
    const std::byte* panels = nullptr;
  };
  FloatKind kind = FloatKind::kF32;  // of all values
  int ranks = 0;                     // of all A's, a multiple of kRankLanes
  const float* scales = nullptr;     // of each rank; A follows
  const std::byte* down = nullptr;
  std::vector<Up> ups;
  std::shared_ptr<std::byte> data;
};

// Error for other formats, and for bytes that are not those of the shapes.
std::unique_ptr<LowRank> load_low_rank(WeightArena& arena,
                                       std::span<const Backend::LowRankDown> downs,
                                       std::span<const Backend::LowRankUp> ups, int rows,
                                       int columns);

// What is to be added to one product. A x is made beside W x: who wants it waits only for what
// others have begun, and the threads are called no more often than without an adapter.
class AddedProducts {
 public:
  // For the rows of x. All must outlive it.
  AddedProducts(Scratch& scratch, int threads, std::span<const LowRankRows> added, HostTensor x);

  // Pieces of work that make A x. Before a thread calls add(), it or another must have begun each.
  int pieces() const;
  void run(int piece) noexcept;

  // Fetches what add() will read of this panel into the cache, while the matrix is multiplied.
  void fetch(int first_row) const;

  // sums[row - begin][i] += B (A x) for row `first_row` + i of the matrix, the first of a panel,
  // and the rows [begin, end) of activations. Waits for the pieces.
  void add(int first_row, int begin, int end, float (*sums)[kPanelRows]) const;

 private:
  struct Entry {
    const CpuLowRank* weights;
    std::span<const int32_t> rows;
    std::span<const float> scales;
    // [parts of the columns][rows][ranks]: A x, and in the end the first is scale * A x.
    float* down;
  };
  // A run of rows that lie together, in one panel of A and one part of the columns.
  struct Unit {
    size_t entry;
    int first, count;  // of the entry's rows
    int panel, part;
  };
  std::span<const std::byte> part_of(const Unit& unit) const;
  void run(const Unit& unit, const std::byte* end) const;
  // All pieces have run: what they made becomes scale * A x.
  void finish();
  void wait() const;
  // B's panel that holds this row of the matrix; nullptr: none.
  static const std::byte* find_panel(const CpuLowRank& weights, int first_row,
                                     const CpuLowRank::Up*& up);

  HostTensor x_;
  int parts_ = 0;  // of the columns
  std::vector<Entry> entries_;
  std::vector<Unit> units_;
  size_t units_of_piece_ = 1;
  std::atomic<int> unfinished_{0};  // pieces
  std::atomic<bool> ready_{false};  // A x is there
};

}  // namespace tessera::cpu
