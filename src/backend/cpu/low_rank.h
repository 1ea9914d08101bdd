// What low-rank adapters add to a product on the CPU: scale * B (A x), in f32. Rows of different
// adapters take part in one product (Punica, Chen et al. 2023), each as it would alone.
//
// Both factors are read once a step, from end to end:
//
//   A  panels of kRankLanes ranks, the A's of all parts behind each other: [column][rank]
//   B  panels of kPanelRows rows, those of each part as the matrix has them: [rank][row]
#pragma once

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
  std::vector<float> scales;         // of each rank
  const std::byte* down = nullptr;
  std::vector<Up> ups;
  std::shared_ptr<std::byte> data;
};

// Error for other formats, and for bytes that are not those of the shapes.
std::unique_ptr<LowRank> load_low_rank(WeightArena& arena,
                                       std::span<const Backend::LowRankDown> downs,
                                       std::span<const Backend::LowRankUp> ups, int rows,
                                       int columns);

// What is to be added to one product.
class AddedProducts {
 public:
  AddedProducts() = default;
  // For the rows of x. All must outlive it.
  AddedProducts(Scratch& scratch, std::span<const LowRankRows> added, HostTensor x);

  // Units of work that make A x, for any threads in any order; finish() when all have run.
  int units() const { return static_cast<int>(units_.size()); }
  void run(int unit) const;
  void finish();

  // Fetches what add() will read of this panel into the cache, while the matrix is multiplied.
  void fetch(int first_row) const;

  // sums[row - begin][i] += B (A x) for row `first_row` + i of the matrix, the first of a panel,
  // and the rows [begin, end) of activations.
  void add(int first_row, int begin, int end, float (*sums)[kPanelRows]) const;

 private:
  struct Entry {
    const CpuLowRank* weights;
    std::span<const int32_t> rows;
    std::span<const float> scales;
    // [pieces of the columns][rows][ranks]: A x, and in the end the first is scale * A x.
    float* down;
  };
  // A run of rows that lie together, in one panel of A and one piece of the columns.
  struct Unit {
    size_t entry;
    int first, count;  // of the entry's rows
    int panel, piece;
  };
  // B's panel that holds this row of the matrix; nullptr: none.
  static const std::byte* find_panel(const CpuLowRank& weights, int first_row,
                                     const CpuLowRank::Up*& up);

  HostTensor x_;
  int pieces_ = 0;
  std::vector<Entry> entries_;
  std::vector<Unit> units_;
};

}  // namespace tessera::cpu
