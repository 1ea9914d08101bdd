#include "compress/magnitudes.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

#include "compress/recoder.h"

namespace tessera {
namespace {

// Magnitudes of floats are ordered as their bits are: 31 of them, counted by the upper 16 first,
// then those of one upper half by the lower 15.
constexpr int kLowBits = 15;
constexpr uint32_t kBins = 1u << 16;
using Counts = std::vector<uint64_t>;

// Calls see(counts of the thread, bits) for every weight, and adds up.
template <class See>
Counts count(std::span<const StoredTensor> tensors, ThreadPool& pool, const See& see) {
  constexpr uint64_t kElements = 1 << 16;  // of a thread at a time
  std::vector<Counts> counts(static_cast<size_t>(pool.threads()), Counts(kBins));
  for (const StoredTensor& tensor : tensors) {
    const uint64_t rows = std::max<uint64_t>(1, kElements / tensor.columns());
    const uint64_t parts = (tensor.rows() + rows - 1) / rows;
    pool.parallel_for(static_cast<int>(parts), [&](int part, int thread) {
      const uint64_t first = static_cast<uint64_t>(part) * rows;
      std::vector<float> values(std::min(rows, tensor.rows() - first) * tensor.columns());
      tensor.decode(first, values.size() / tensor.columns(), values);
      for (const float value : values)
        see(counts[static_cast<size_t>(thread)], std::bit_cast<uint32_t>(std::fabs(value)));
    });
  }
  for (size_t t = 1; t < counts.size(); ++t) {
    for (size_t bin = 0; bin < kBins; ++bin) counts[0][bin] += counts[t][bin];
  }
  return counts[0];
}

// The bin of the weight number `rank`, which becomes its number within it.
uint32_t find_bin(const Counts& counts, uint64_t& rank) {
  uint32_t bin = 0;
  for (; bin + 1 < kBins && rank >= counts[bin]; ++bin) rank -= counts[bin];
  return bin;
}

}  // namespace

float magnitude_of_share(std::span<const StoredTensor> tensors, double share, ThreadPool& pool) {
  uint64_t elements = 0;
  for (const StoredTensor& tensor : tensors) {
    require_finite(tensor, pool);
    elements += tensor.elements();
  }
  auto rank = static_cast<uint64_t>(std::floor(share * static_cast<double>(elements) + 1e-9));
  if (rank == 0) return -1;
  --rank;
  const uint32_t high = find_bin(
      count(tensors, pool, [](Counts& counts, uint32_t bits) { ++counts[bits >> kLowBits]; }),
      rank);
  const uint32_t low = find_bin(count(tensors, pool,
                                      [high](Counts& counts, uint32_t bits) {
                                        if (bits >> kLowBits == high)
                                          ++counts[bits & ((1u << kLowBits) - 1)];
                                      }),
                                rank);
  return std::bit_cast<float>(high << kLowBits | low);
}

}  // namespace tessera
