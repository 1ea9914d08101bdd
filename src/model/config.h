// What a checkpoint says of its model's shape.
#pragma once

#include <vector>

#include "backend/backend.h"
#include "checkpoint/checkpoint.h"
#include "model/architecture.h"
#include "model/layers/routing.h"
#include "model/pooling.h"

namespace tessera {

// The experts of a layer whose feed-forward network is a mixture.
struct ExpertsConfig {
  int count = 0;               // 0: there are none
  int used = 0;                // by each row
  int feed_forward = 0;        // of each
  int shared = 0;              // feed-forward length of the one that every row visits; 0: none
  int latent = 0;              // length of what the others read and answer; 0: the stream's
  bool fused_gate_up = false;  // the checkpoint has gate and up of all in one tensor
};

// Lengths of multi-head latent attention; its layers have one key-value head, of the latent and the
// rotated part.
struct LatentConfig {
  int query = 0;      // of the latent that queries go through; 0: none
  int key_value = 0;  // of the latent; 0: ordinary attention
  int rope = 0;       // of the part of keys that is rotated
  int key = 0;        // of each head's keys, the rotated part included
  int value = 0;      // of each head's values
};

// A recurrent layer: a convolution along the text, and a recurrence of `heads` states.
struct RecurrentConfig {
  RecurrentKind kind = RecurrentKind::kNone;
  int taps = 0;  // of the convolution
  int heads = 0, key_heads = 0;
  int key_dim = 0, value_dim = 0;  // of a head
  int channels = 0;                // of the convolution
  bool grouped = false;            // StateLayer's
  bool beside = false;             // the layer attends, too

  int keys() const { return key_heads * key_dim; }
  int values() const { return heads * value_dim; }
};

// One layer's shape. Layers may differ: pruned models and several families have wide and narrow
// ones, other heads, or windows in some only.
struct LayerConfig {
  int heads = 0, kv_heads = 0, head_dim = 0;
  int feed_forward = 0;  // where there are no experts
  ExpertsConfig experts = {};
  LatentConfig latent = {};
  RecurrentConfig recurrent = {};
  float attention_scale = 0.0f;
  int window = 0;  // positions that a row attends to on a side, its own included; 0: all
  int chunk = 0;   // positions of a chunk, to whose own a row attends; 0: all
  int rope = 0;    // of Config::ropes; kUnrotated: queries and keys stay as they are
  static constexpr int kUnrotated = -1;
  int kv_layer = 0;             // of the KV store: the one that holds its keys and values
  bool shares_kv = false;       // these are an earlier layer's
  bool fused_qkv = false;       // one matrix holds queries, keys and values
  bool keys_as_values = false;  // there is no matrix of values: they are what keys are made of

  bool attends() const {
    return heads > 0 && (recurrent.kind == RecurrentKind::kNone || recurrent.beside);
  }
  int q_columns() const { return heads * head_dim; }
  int kv_columns() const { return kv_heads * head_dim; }
};

// What a norm's tensors are in the checkpoint.
struct NormRoles {
  TensorRole weight = TensorRole::kUnknown, bias = TensorRole::kUnknown;
};

// Maps that pooled states may go through.
inline constexpr size_t kMostDense = 2;

struct Config {
  const Architecture* architecture = nullptr;
  int vocabulary = 0;
  int embedding = 0;         // length of the residual stream
  int training_context = 0;  // what the model was trained for
  int context = 0;           // what this load asked for
  // Behind `layers`, which predict further tokens (multi-token prediction); they are not loaded.
  int next_token_layers = 0;
  float norm_epsilon = 0.0f;
  float embedding_scale = 1.0f;
  float residual_scale = 1.0f;  // of what attention and feed-forward add
  float logit_scale = 1.0f;
  float attention_soft_cap = 0.0f, final_soft_cap = 0.0f;  // 0: none
  Routing routing;                                         // of experts
  bool is_rotated = true;                                  // of Unrotated::kAsStored
  int per_layer_input = 0;    // length of what each layer reads beside the stream; 0: nothing
  int learned_positions = 0;  // added to the embeddings; 0: none
  // ALiBi: the slopes of n heads are powers of 2^(-max_slope_exponent / n); 0: none.
  float max_slope_exponent = 0.0f;
  // Queries at position p are multiplied by 1 + query_growth ln(1 + floor(p / growth_length)), for
  // contexts beyond the one of pretraining; of Llama 4 with p + 1, and where nothing is rotated.
  float query_growth = 0.0f;
  int growth_length = 0;
  bool unit_qk_norm = false;                    // Architecture's, in this model
  bool parallel_residual = false;               // the feed-forward reads what attention reads,
  bool shared_norm = false;                     // through the same norm
  NormRoles attention_norm, feed_forward_norm;  // of what they read
  // Every token attends to all of its text, which is computed in one step, and there are no logits.
  bool bidirectional = false;
  Pooling pooling = Pooling::kMean;  // of embeddings, where nobody asks for another
  std::vector<int> dense_widths;     // of the maps behind it; see pooled_dense.h
  std::vector<Rope> ropes;  // of each length of heads; others for windowed layers if they differ
  std::vector<LayerConfig> layers;
};

// Reads and checks the facts. `context` = 0 asks for the training context.
// Throws Error if something is missing, absurd, or not supported.
Config read_config(const Checkpoint& checkpoint, int context = 0);

// What a store keeps of each token of such a model; no blocks yet.
KvShape kv_shape(const Config& config, KvFormat format);

}  // namespace tessera
