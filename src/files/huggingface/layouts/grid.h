// A number for each element of a matrix, alike for all of a group: scales, zero points, minimums.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "files/huggingface/layouts/codes.h"
#include "formats/format.h"

namespace tessera::huggingface {

// Threads may read at once.
class Grid {
 public:
  virtual ~Grid() = default;
  virtual float at(uint64_t row, uint64_t column) const = 0;
  // Known without looking: an f16 holds every number; all are integers from 0 to 255.
  virtual bool is_f16() const { return false; }
  virtual bool is_byte() const { return false; }
};
using GridPtr = std::shared_ptr<const Grid>;

GridPtr constant_grid(float value);

// Floats (F64, F32, F16, BF16, F8_E4M3, or F8_E8M0 and U8 as powers of two) as they lie in a
// tensor. The one for (row, column) has the index row / rows * row_step + column / columns *
// column_step.
struct FloatGrid {
  const Format* format = nullptr;
  Bytes bytes;
  uint64_t rows = 1, columns = 1;  // of a group
  uint64_t row_step = 0, column_step = 0;
  float factor = 1, divisor = 1;  // of each: x * factor / divisor
};
GridPtr float_grid(const FloatGrid& grid);
// The same where groups go on from row to row: the one for element e = row * width + column has the
// index e / group or, `interleaved`, e % group.
struct FlatGrid {
  const Format* format = nullptr;
  Bytes bytes;
  uint64_t width = 1, group = 1;
  bool interleaved = false;
};
GridPtr flat_grid(const FlatGrid& grid);
// The numbers of such a tensor. Error, with its name, for another dtype.
std::vector<float> floats_of(const Format& format, Bytes bytes);
bool is_float_dtype(const Format& format);  // float_grid takes it

// Signed bytes, to which `flip`, a power of two that they lie below, is added; as rows of `across`,
// one for each `columns` columns.
GridPtr byte_grid(Bytes bytes, uint8_t flip, uint64_t columns, uint64_t across);

// For (row, column) the number at bit row * row_bits + column / columns * column_bits of a stream,
// plus `add`, in `bits` bits.
struct PackedGrid {
  Bytes bytes;
  int bits = 4, add = 0;
  uint64_t columns = 1;  // of a group
  uint64_t row_bits = 0, column_bits = 0;
  bool awq_order = false;  // rows lie as in awq_codes
};
GridPtr packed_grid(const PackedGrid& grid);

// The same where a word holds as many whole numbers as there is room for, or with `dense` streams
// of words, and words of one group lie below each other: [words, groups].
GridPtr column_packed_grid(Bytes bytes, int bits, bool dense, uint64_t columns, uint64_t groups);

// What `grid` has for column of[c]: groups that are no neighbours.
GridPtr permuted_grid(GridPtr grid, std::shared_ptr<const std::vector<uint32_t>> of);

}  // namespace tessera::huggingface
