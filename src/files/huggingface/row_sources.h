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

// The same matrix with its rows in pairs (rotary_pairs.h). rows() is a multiple of head_dim, which
// is even.
StoredTensor pair_rows(const StoredTensor& from, uint64_t head_dim);

}  // namespace tessera::huggingface
