// Model families as rows of a table. There is one transformer; a family only says how it differs.
#pragma once

#include <string_view>

#include "backend/backend.h"
#include "checkpoint/tensor_role.h"
#include "model/layers/routing.h"

namespace tessera {

struct Architecture {
  std::string_view name;  // the fact "general.architecture"
  std::string_view note;  // for people

  bool interleaved_rope = false;  // pairs (2i, 2i+1) rather than (i, i + d/2)
  Activation activation = Activation::kSilu;
  bool scale_embeddings = false;  // by sqrt(embedding length)
  bool post_norms = false;        // a norm behind attention and behind the feed-forward, too
  bool qk_norm = false;           // RMSNorm of each query and key head
  bool may_have_qk_norm = false;  // in some models of the family
  bool qkv_bias = false;          // required; other families may ship one or not
  bool fused_qkv = false;         // one tensor attn_qkv
  bool fused_gate_up = false;     // ffn_up holds gate and up

  bool attention_sinks = false;
  // What is called the norm before the feed-forward: in some families one behind attention.
  TensorRole feed_forward_norm = TensorRole::kFeedForwardNorm;

  // Of a mixture of experts, where the checkpoint does not say otherwise.
  Gating gating = Gating::kSoftmax;
  bool normalize_experts = false;   // the weights of those that a row visits add up to 1
  bool expert_biases = false;       // and of the router
  bool shared_expert_gate = false;  // the expert that every row visits has a weight, too

  // Sliding windows: with period n, layers n-1, 2n-1, ... attend to everything and the others to
  // the window; 1 gives every layer the window.
  int window_period = 1;
  float local_rope_base =
      0.0f;  // RoPE base of the windowed layers; 0: as the others, scaling included
  // Up to this number of layers the attention scale is 1/sqrt(head_dim); the family's one larger
  // model uses 1/sqrt(embedding / heads).
  int head_dim_scale_layers = 1 << 30;
};

// Throws Error naming the known ones.
const Architecture& find_architecture(std::string_view name);

}  // namespace tessera
