// The matrix that takes a latent to each head's keys and values (multi-head latent attention), as
// GGUF has it: in two, the first of which takes queries to the latent instead.
#pragma once

#include <vector>

#include "checkpoint/stored_tensor.h"

namespace tessera::huggingface {

// X.kv_b_proj.weight [heads * (key + value), latent] becomes X.k_b_proj.weight [heads, latent, key]
// and X.v_b_proj.weight [heads, value, latent]. Error if the heads do not divide it, or if it is
// not of floats.
std::vector<StoredTensor> split_latent(std::vector<StoredTensor> tensors, uint64_t heads,
                                       uint64_t key);

}  // namespace tessera::huggingface
