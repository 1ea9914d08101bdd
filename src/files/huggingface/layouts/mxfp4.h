// Matrices of MXFP4 whose scales lie in a tensor of their own, as rows of the format MXFP4.
#pragma once

#include <string>

#include "checkpoint/stored_tensor.h"
#include "files/huggingface/layouts/codes.h"

namespace tessera::huggingface {

// `codes`: 16 bytes for 32 columns, the even ones in the low halves; `scales`: a byte, E8M0, for
// each. `shape`: columns first, a multiple of 32. Whoever calls has checked that the sizes agree.
StoredTensor mxfp4_tensor(std::string name, std::vector<uint64_t> shape, Bytes codes, Bytes scales);

}  // namespace tessera::huggingface
