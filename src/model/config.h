// What a model file says of its shape.
#pragma once

#include <vector>

#include "backend/backend.h"
#include "files/gguf.h"
#include "model/architecture.h"

namespace tessera {

struct Config {
  const Architecture* architecture = nullptr;
  int vocabulary = 0;
  int embedding = 0;  // length of the residual stream
  int layers = 0;
  int heads = 0, kv_heads = 0, head_dim = 0;
  int feed_forward = 0;
  int training_context = 0;  // what the model was trained for
  int context = 0;           // what this load asked for
  float norm_epsilon = 0.0f;
  float embedding_scale = 1.0f;
  float attention_scale = 0.0f;
  float attention_soft_cap = 0.0f, final_soft_cap = 0.0f;  // 0: none
  int window = 0;                                          // 0: none
  int window_period = 1;  // see Architecture; files may say otherwise
  Rope rope, local_rope;  // local: for the windowed layers

  bool is_windowed(int layer) const {
    return window > 0 && (window_period == 1 || (layer + 1) % window_period != 0);
  }
};

// Reads and checks the metadata. `context` = 0 asks for the training context.
// Throws Error if something is missing, absurd, or not supported.
Config read_config(const GgufFile& file, int context = 0);

}  // namespace tessera
