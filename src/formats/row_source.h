// Rows that no file holds as they are: packed along another axis, permuted, with scales and zero
// points in tensors of their own (GPTQ, AWQ, HQQ, ...). A source puts them together when they are
// read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace tessera {

class RowSource {
 public:
  virtual ~RowSource() = default;

  // Writes rows [first, first + count) to `out`, without gaps, in the format that its owner names.
  // Threads may call it at once. Cheapest for 32 rows or more that begin at a multiple of 32.
  virtual void read(uint64_t first, uint64_t count, std::byte* out) const = 0;
  // The bytes of the files that it reads from.
  virtual std::vector<std::span<const std::byte>> stored() const = 0;
};

// Puts the columns of `rows`, each of order.size() values, where they belong: what is column c here
// goes to order[c], a permutation.
void restore_order(std::span<const uint32_t> order, std::span<float> rows);

}  // namespace tessera
