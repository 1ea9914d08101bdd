// Groups of inputs that are no neighbours (act-order): which group each input is of, in a tensor.
#pragma once

#include "files/huggingface/layouts/quantized_matrix.h"

namespace tessera::huggingface {

// `g_idx` has the group of each input, less than `count`. Where they are not in order, columns are
// sorted by them and `matrix` says where they belong; or, if groups are not of matrix.group inputs
// each, every column gets a scale of its own. Error for an index out of range. `matrix` is whole
// but for that.
void set_groups(QuantizedMatrix& matrix, const StoredTensor& g_idx, uint64_t count);

}  // namespace tessera::huggingface
