// A tensor as it lies in a checkpoint's files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/tensor_names.h"
#include "formats/format.h"
#include "formats/row_source.h"

namespace tessera {

struct StoredTensor {
  std::string name;  // as the file has it
  TensorPlace place;
  const Format* format = nullptr;
  // shape[0] is the length of a row, the axis that is contiguous and that a linear layer sums over;
  // shape[1] counts the rows. 1 to 4 axes, their product fits 63 bits.
  std::vector<uint64_t> shape;
  std::span<const std::byte> bytes;  // inside a file, exactly the tensor's size; none with a source
  size_t file_index = 0;             // which of the checkpoint's files holds it

  std::shared_ptr<const RowSource> source;  // nullptr: the rows are `bytes`
  // Column c of the rows belongs to input (*order)[c]: groups of columns that share a scale need
  // not be neighbours (GPTQ's act-order). A permutation of all columns; nullptr: c itself.
  std::shared_ptr<const std::vector<uint32_t>> order;

  uint64_t columns() const { return shape.empty() ? 1 : shape[0]; }
  uint64_t rows() const;      // product of the other axes
  uint64_t elements() const;  // columns() * rows()
  // What it is read from, inside the files: `bytes`, or those of its source.
  std::vector<std::span<const std::byte>> stored() const;
  uint64_t stored_bytes() const;  // of all of that

  // Rows [first, first + count) in the tensor's format: where they lie, or put together in
  // `buffer`.
  std::span<const std::byte> read(uint64_t first, uint64_t count,
                                  std::vector<std::byte>& buffer) const;
  // The values of those rows, columns in the order of the inputs; `values` holds count * columns().
  void decode(uint64_t first, uint64_t count, std::span<float> values) const;
};

}  // namespace tessera
