// Files of models with latent attention (deepseek2) that llama.cpp's converter wrote before April
// 2025: "attn_kv_b" takes the latent to each head's keys and values, and the facts tell lengths of
// heads as these are then. Files since hold that matrix in two, and facts of the latent
// (https://github.com/ggml-org/llama.cpp/pull/12801).
#pragma once

#include <vector>

#include "checkpoint/stored_tensor.h"
#include "files/gguf/metadata.h"

namespace tessera::gguf {

// Makes both what they are in files since; others stay as they are. Where a file holds the matrix
// in both ways (ik_llama.cpp's), the one that its facts do not go with is dropped. Error for facts
// that are missing or do not go together, and for a matrix that they do not fit.
void split_old_latents(GgufMetadata& metadata, std::vector<StoredTensor>& tensors);

}  // namespace tessera::gguf
