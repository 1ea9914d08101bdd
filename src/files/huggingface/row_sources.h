// Tensors of a folder as the transformer wants them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "checkpoint/stored_tensor.h"
#include "files/huggingface/rotary_pairs.h"

namespace tessera::huggingface {

// A vector in f32 that is held in memory, or so many values of another shape; `from` says what
// bytes of the files it stands for.
StoredTensor make_vector(const StoredTensor& from, std::vector<float> values,
                         std::vector<uint64_t> shape = {});

// How far apart, in values, the neighbours are that become two experts (or heads), two rows, two
// columns; and where the first value lies.
struct Steps {
  uint64_t first, expert, row, column;
};
// The values of a float tensor along other axes: [.., rows, columns] is `shape`, its axes from the
// last on. Error for another format. All that it reaches for lies within `from`.
StoredTensor stepped_rows(const StoredTensor& from, std::string name, std::vector<uint64_t> shape,
                          Steps steps);

// The same matrix, or vector, with all queries first, then all keys, then all values, instead of
// these of one key-value head after another. Error unless its rows are so many heads.
StoredTensor group_by_kind(const StoredTensor& from, HeadCounts heads);

// The matrix the other way round. Error for a format of blocks.
StoredTensor transpose(const StoredTensor& from);

// Rows of a matrix, or values of a vector, in another order, or some of them: the i-th is number
// sources[i].
StoredTensor move_rows(const StoredTensor& from, std::vector<uint64_t> sources);

// The matrix without its first rows. Error if it has no more.
StoredTensor skip_rows(const StoredTensor& from, uint64_t count);

// The same matrix with its rows in pairs (rotary_pairs.h). rows() is a multiple of head_dim, which
// is even.
StoredTensor pair_rows(const StoredTensor& from, uint64_t head_dim);

}  // namespace tessera::huggingface
