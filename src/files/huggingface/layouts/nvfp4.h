// Matrices of NVFP4: E2M1, an E4M3 scale for 16 columns, and one for the whole matrix.
#pragma once

#include <string>

#include "checkpoint/stored_tensor.h"

namespace tessera::huggingface {

// `packed`: U8 [out, in / 2], even columns in the low halves; `scales`: E4M3 [out, in / 16];
// `global`: one F32, which multiplies the scales (ModelOpt) or divides them (compressed-tensors).
StoredTensor nvfp4_tensor(std::string name, const StoredTensor& packed, const StoredTensor& scales,
                          const StoredTensor& global, bool divides);

}  // namespace tessera::huggingface
