// Model families as rows of a table. There is one transformer; a family only says how it differs.
#pragma once

#include <cstdint>
#include <string_view>

#include "backend/backend.h"
#include "checkpoint/tensor_role.h"
#include "model/layers/routing.h"

namespace tessera {

enum class NormKind : uint8_t { kRmsNorm, kLayerNorm };

// Layers whose queries and keys are not rotated (NoPE, Kazemnejad et al. 2023).
enum class Unrotated : uint8_t {
  kNone,
  kEveryFourth,    // layers 3, 7, ...
  kWithoutWindow,  // those that attend to everything
  kBesideWindows,  // the same, where others have a window
  kAll,            // positions are learned, or ALiBi's
  kNowhere,        // there are none: other layers tell in which order tokens came
  kAsStored,       // the same, where the fact "rope.scaling.finetuned" is false
};

// What the feed-forward reads.
enum class Residual : uint8_t {
  kInTurn,      // what attention added to
  kParallel,    // what attention reads, too (GPT-J); unless "use_parallel_residual" is false
  kSharedNorm,  // the same through the same norm
  kAsStored,    // the same through the same norm, if the checkpoint has only one norm
};

// What a recurrent layer is.
enum class RecurrentKind : uint8_t {
  kNone,  // it attends, if anything
  kGatedDeltaNet,
  kStateSpace,
  kShortConvolution,
};

struct Architecture {
  std::string_view name;  // the fact "general.architecture"
  std::string_view note;  // for people

  bool interleaved_rope = false;  // pairs (2i, 2i+1) rather than (i, i + d/2)
  Unrotated unrotated = Unrotated::kNone;
  float max_slope_exponent = 0.0f;  // ALiBi's, where the checkpoint is silent; 0: none
  NormKind norm = NormKind::kRmsNorm;
  bool embedding_norm = false;
  TensorRole output_norm = TensorRole::kOutputNorm;  // its role in GGUF
  bool token_types = false;  // in most models; of texts that are alone, all tokens have the first
  Residual residual = Residual::kInTurn;
  Activation activation = Activation::kSilu;
  bool gated = true;              // activation(gate) * up rather than activation(up)
  bool scale_embeddings = false;  // by sqrt(embedding length)
  bool has_logit_scale = false;   // the fact "logit_scale" must be there
  bool divide_logits = false;     // by the fact "logit_scale", which others multiply with
  bool pre_norms = true;          // a norm before attention and before the feed-forward
  TensorRole feed_forward_norm = TensorRole::kFeedForwardNorm;  // the latter; its role in GGUF
  bool first_norm = true;         // layer 0 has one before attention, too
  bool post_norms = false;        // a norm behind attention and behind the feed-forward, too
  bool residual_norms = false;    // a norm of the residual stream behind each of them (BERT)
  bool final_norm = true;         // behind the last layer
  bool qk_norm = false;           // RMSNorm of each query and key head
  bool may_have_qk_norm = false;  // in some models of the family
  bool joint_qk_norm = false;     // RMSNorm of all query heads together, and of all key heads
  bool unit_qk_norm = false;      // RMSNorm of each rotated head, without a weight, in some models
  bool may_have_head_norms = false;  // LayerNorm of each, by a weight of its own, in some models
  bool value_norm = false;           // RMSNorm of each value head, without a weight
  bool shared_kv = false;            // the last layers may read an earlier one's keys and values
  bool qkv_bias = false;             // required; other families may ship one or not
  bool fused_qkv = false;            // one tensor attn_qkv, unless a checkpoint has them apart
  bool fused_gate_up = false;        // ffn_up holds gate and up

  bool attention_sinks = false;

  bool output_gate = false;  // kQuery holds of each head its query, then a gate of its output

  // Of layers that do not attend: those that the checkpoint names, or else three in four,
  RecurrentKind recurrent = RecurrentKind::kNone;
  bool recurrent_without_keys = false;  // or those without key-value heads.
  bool recurrent_beside = false;        // all do both, and read what one norm makes of the stream
  bool single_parts = false;            // a layer is a feed-forward, or else attends or recurs
  bool grouped_keys = false;  // heads that share a key lie together, rather than key_heads apart
  // A token attends to what follows it as well: of models that embed texts, and have no logits.
  bool bidirectional = false;
  bool pooled_dense = false;  // in some models, pooled states go through two matrices

  bool latent_attention = false;
  bool next_token_layers = false;     // behind the others, in some models
  bool experts = false;               // in some models, or all
  bool experts_beside_dense = false;  // see dense_beside_experts.h
  bool per_layer_inputs = false;      // in some models: see per_layer_input.h
  bool layer_scale = false;           // what a layer makes is scaled, where the checkpoint says so

  // Of a mixture of experts, where the checkpoint does not say otherwise.
  Gating gating = Gating::kSoftmax;
  bool normalize_experts = false;   // the weights of those that a row visits add up to 1
  bool expert_biases = false;       // and of the router
  bool shared_expert_gate = false;  // the expert that every row visits has a weight, too
  bool shared_expert = false;       // there is one, as long as the others
  bool weighs_inputs = false;       // weights are of what experts read, not of what they answer

  // Sliding windows: with period n, layers n-1, 2n-1, ... attend to everything and the others to
  // the window; 1 gives every layer the window.
  int window_period = 1;
  int chunk = 0;             // those layers attend to chunks of so many positions instead
  bool has_windows = false;  // every model has: the fact "attention.sliding_window" must be there
  bool full_layers_first = false;  // with period n, layers 0, n, 2n, ... attend to everything
  // RoPE base of the windowed layers, never scaled; 0: as the others, scaling included; -1: theirs,
  // without the scaling.
  float local_rope_base = 0.0f;
  // Up to this number of layers the attention scale is 1/sqrt(head_dim); the family's one larger
  // model uses 1/sqrt(embedding / heads).
  int head_dim_scale_layers = 1 << 30;
  float attention_scale = 0.0f;  // whatever the heads' length; 0: the above
  // Of Config's, where the checkpoint is silent; of layers that are not rotated, from position 1
  // on.
  float query_growth = 0.0f;
  int growth_length = 0;
};

// nullptr if it is not known.
const Architecture* look_up_architecture(std::string_view name);
// Throws Error naming the known ones.
const Architecture& find_architecture(std::string_view name);

}  // namespace tessera
