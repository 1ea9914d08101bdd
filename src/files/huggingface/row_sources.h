// Tensors of a folder as the transformer wants them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "checkpoint/stored_tensor.h"

namespace tessera::huggingface {

// A vector in f32 that is held in memory; `from` says what bytes of the files it stands for.
// Shape [values.size()].
StoredTensor make_vector(const StoredTensor& from, std::vector<float> values);

// How far apart, in values, the neighbours are that become two experts (or heads), two rows, two
// columns; and where the first value lies.
struct Steps {
  uint64_t first, expert, row, column;
};
// The values of a float tensor along other axes: [.., rows, columns] is `shape`, its axes from the
// last on. Error for another format. All that it reaches for lies within `from`.
StoredTensor stepped_rows(const StoredTensor& from, std::string name, std::vector<uint64_t> shape,
                          Steps steps);

// The same matrix with its rows in pairs (rotary_pairs.h). rows() is a multiple of head_dim, which
// is even.
StoredTensor pair_rows(const StoredTensor& from, uint64_t head_dim);

}  // namespace tessera::huggingface
