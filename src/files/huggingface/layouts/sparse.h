// Matrices of which zeros are left out.
#pragma once

#include "files/huggingface/layouts/raw_tensors.h"

namespace tessera::huggingface {

// Replaces every X.compressed, X.bitmask, X.shape (sparse-bitmask and sparse-24-bitmask of
// compressed-tensors) by X.weight, which is read through a source and has the dtype of its values.
void fill_in_zeros(RawTensors& tensors);

}  // namespace tessera::huggingface
