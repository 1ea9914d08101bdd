// Which of its formats each tensor gets, when all of them together may take so many bytes: a
// multiple-choice knapsack.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace tessera {

// One of the formats that a tensor may have.
struct FormatChoice {
  uint64_t bytes = 0;
  double cost = 0;  // what its error costs; the sum over all tensors is to be small
};

// For each tensor the number of its choice: of all that take at most `budget` bytes, those of the
// least cost. By dynamic programming over the bytes, in at most kAllocationSteps of equal size:
// exact but for the rounding to such steps, of which there is none where all sizes are multiples of
// one (as those of a model's tensors mostly are). What is left of the budget goes to whom it helps
// most. Every tensor has a choice; Error if the smallest together take more than the budget.
inline constexpr size_t kAllocationSteps = size_t{1} << 15;
std::vector<size_t> allocate(std::span<const std::vector<FormatChoice>> tensors, uint64_t budget);

}  // namespace tessera
