// Tensors of a folder as the transformer wants them.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "checkpoint/stored_tensor.h"

namespace tessera::huggingface {

// A vector in f32 that is held in memory; `from` says what bytes of the files it stands for.
// Shape [values.size()].
StoredTensor make_vector(const StoredTensor& from, std::vector<float> values);

// Where row r of a matrix (or element r of a vector) of `head_dim` rows a head is, when its rows go
// from halves (i, i + d/2) to pairs (2i, 2i + 1).
constexpr uint64_t row_in_halves(uint64_t row, uint64_t head_dim) {
  const uint64_t in_head = row % head_dim;
  return row - in_head + in_head % 2 * (head_dim / 2) + in_head / 2;
}

// The same matrix with its rows in pairs. rows() is a multiple of head_dim, which is even.
StoredTensor pair_rows(const StoredTensor& from, uint64_t head_dim);

}  // namespace tessera::huggingface
