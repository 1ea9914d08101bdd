// Tensors of a folder as the transformer wants them.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "checkpoint/stored_tensor.h"
#include "files/huggingface/rotary_pairs.h"

namespace tessera::huggingface {

// A vector in f32 that is held in memory; `from` says what bytes of the files it stands for.
// Shape [values.size()].
StoredTensor make_vector(const StoredTensor& from, std::vector<float> values);

// The same matrix, or vector, with all queries first, then all keys, then all values, instead of
// these of one key-value head after another. Error unless its rows are so many heads.
StoredTensor group_by_kind(const StoredTensor& from, HeadCounts heads);

// The matrix the other way round. Error for a format of blocks.
StoredTensor transpose(const StoredTensor& from);

// The matrix without its first rows. Error if it has no more.
StoredTensor skip_rows(const StoredTensor& from, uint64_t count);

// The same matrix with its rows in pairs (rotary_pairs.h). rows() is a multiple of head_dim, which
// is even.
StoredTensor pair_rows(const StoredTensor& from, uint64_t head_dim);

}  // namespace tessera::huggingface
