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

namespace tessera {

struct StoredTensor {
  std::string name;  // as the file has it
  TensorPlace place;
  const Format* format = nullptr;
  // shape[0] is the length of a row, the axis that is contiguous and that a linear layer sums over;
  // shape[1] counts the rows. 1 to 4 axes, their product fits 63 bits.
  std::vector<uint64_t> shape;
  std::span<const std::byte> bytes;  // lies inside the file, exactly the tensor's size
  size_t file_index = 0;             // which of the checkpoint's files holds it

  // Formats that keep what belongs to a matrix in tensors of their own (GPTQ, AWQ, HQQ, scaled
  // FP8): the bytes above are the codes q, and an element of row r and column c is
  //   w[r, c] = scales[r, g] * (q[r, c] - zeros[r, g]),  g = order[c], or c / (columns / groups).
  // Absent: no scales (the format's blocks hold their own), zeros of 0, columns in their order.
  std::shared_ptr<const StoredTensor> scales, zeros, order;

  bool is_self_contained() const { return !scales && !zeros && !order; }
  uint64_t columns() const { return shape.empty() ? 1 : shape[0]; }
  uint64_t rows() const;      // product of the other axes
  uint64_t elements() const;  // columns() * rows()
};

}  // namespace tessera
