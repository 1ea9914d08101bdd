// A model's weights, repacked into the backend's memory.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "backend/backend.h"
#include "files/gguf.h"
#include "model/config.h"

namespace tessera {

struct LayerWeights {
  std::vector<float> attention_norm, feed_forward_norm;            // [embedding]
  std::vector<float> post_attention_norm, post_feed_forward_norm;  // [embedding]; empty: none
  std::vector<float> q_norm, k_norm;                               // [head_dim]; empty: none
  std::unique_ptr<Matrix> qkv;               // [(heads + 2 kv_heads) * head_dim, embedding]
  std::vector<float> qkv_bias;               // empty: none
  std::unique_ptr<Matrix> attention_output;  // [embedding, heads * head_dim]
  std::vector<float> attention_output_bias;  // empty: none
  std::unique_ptr<Matrix> gate_up;  // [2 feed_forward, embedding]: gate, then up: two parts
  std::unique_ptr<Matrix> down;     // [embedding, feed_forward]
};

struct Weights {
  // The embedding table stays in the file: a step reads one row a token.
  const GgufTensor* embeddings = nullptr;  // [vocabulary, embedding]
  std::vector<LayerWeights> layers;
  std::vector<float> output_norm;  // [embedding]
  std::unique_ptr<Matrix> output;  // [vocabulary, embedding]; repacked from the embeddings if tied
  size_t bytes = 0;                // of all matrices
};

// Loads every tensor the architecture names. Throws Error for a tensor that is missing, has the
// wrong shape or an unsupported format, or that no part of the architecture reads: ignoring one
// would give wrong answers silently. `on_progress(done, total)` counts tensors.
Weights load_weights(const GgufFile& file, const Config& config, Backend& backend,
                     const std::function<void(size_t done, size_t total)>& on_progress = {});

}  // namespace tessera
