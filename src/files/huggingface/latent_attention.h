// The matrix that takes a latent to each head's keys and values, as GGUF has it.
#pragma once

#include <vector>

#include "checkpoint/stored_tensor.h"

namespace tessera::huggingface {

// X.kv_b_proj.weight [heads * (key + value), latent] becomes X.k_b_proj.weight [heads, latent, key]
// and X.v_b_proj.weight [heads, value, latent]: see checkpoint/latent_split.h, errors included.
std::vector<StoredTensor> split_latents(std::vector<StoredTensor> tensors, uint64_t heads,
                                        uint64_t key);

}  // namespace tessera::huggingface
