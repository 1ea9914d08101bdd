// The model families whose Hugging Face folders are read (families/): how each one's folder differs
// from what Tessera, like GGUF, calls the same model.
#pragma once

#include <cstdint>
#include <string_view>

namespace tessera::huggingface {

// Whose names a folder gives its tensors (tensor_names.cc).
enum class TensorStyle : uint8_t {
  kLlama,
  kGpt2,
  kGptNeoX,
  kPhi,
  kStarCoder2,
  kOpt,
  kFalcon,
  kBloom,
  kMpt,
  kLfm2,
  kNemotronH,
  kMamba2,
  kFalconH1,
  kBert,
  kNomicBert,
  kModernBert,
  kLlama4,
};

// What a folder calls its recurrent layers.
enum class RecurrentStyle : uint8_t {
  kNone,             // there are none
  kLinearAttention,  // gated delta networks
  kMamba,            // Mamba-2
  kConvolution,      // short convolutions
};

struct Family {
  std::string_view model_type;           // of config.json
  std::string_view architecture;         // the fact "general.architecture"
  std::string_view class_name;           // in transformers
  std::string_view activation = "silu";  // the one there is, as config.json spells it

  // Queries and keys are rotated in pairs (2i, 2i + 1) instead of (i, i + d/2): rows of their
  // matrices are put into that order.
  bool interleaved_rope = false;
  // Norms multiply by 1 + weight; the facts of the transformer say weight.
  bool norms_add_one = false;
  // post_attention_layernorm and post_feedforward_layernorm stand behind their blocks,
  // pre_feedforward_layernorm before; else post_attention_layernorm is before the feed-forward.
  bool post_norms = false;
  // post_attention_layernorm is before the feed-forward, and its role that of a norm behind
  // attention, as GGUF has it.
  bool norm_after_attention = false;
  bool fused = false;  // qkv_proj, gate_up_proj
  bool experts = false;
  bool latent_attention = false;   // kv_b_proj is each head's keys, then its values (DeepSeek)
  bool sigmoid_gating = false;     // of experts
  bool next_token_layers = false;  // in some folders: see next_token_layers.h
  bool fused_experts = false;      // those of fused_experts.h, and a router with a bias
  bool shared_mlp = false;         // feed-forwards are Granite's, gate and up in one tensor
  bool sparse_moe_block = false;   // experts are block_sparse_moe's w1, w2, w3 (Mixtral)
  bool gemma4_layers = false;      // see gemma4_layers.h
  bool llama4_layers = false;      // see llama4_layers.h
  bool windows = true;  // is there a sliding_window? Of others, transformers does not read it
  // Families of a query_pre_attn_scalar, where a GGUF file says nothing: models of more layers than
  // that divide by sqrt(embedding / heads), smaller ones by that of a head's length (Gemma's 27B).
  int head_dim_scale_layers = 0;

  RecurrentStyle recurrent = RecurrentStyle::kNone;
  TensorStyle style = TensorStyle::kLlama;
  bool rotary = true;  // are positions rotations?
  // The rows of query_key_value are those of one key-value head after another: its queries', its
  // key's, its value's. Here all queries come first, then all keys, then all values.
  bool qkv_by_head = false;
  bool transposed = false;         // matrices in layers lie the other way round (Conv1D)
  int unused_positions = 0;        // rows of the table of positions that come before position 0
  int feed_forward_factor = 0;     // of the embedding length, where config.json is silent
  bool counts_unused = false;      // by max_position_embeddings
  bool bidirectional = false;      // embeds texts: has no logits
  bool pooled_dense = false;       // modules of sentence-transformers behind the pooling
  bool full_layers_first = false;  // of n layers the first attends to everything, not the last
  bool multipliers = false;        // of embeddings, residual, attention and logits, in these words
  bool writable = true;            // is a folder written for it?

  // JSON: keys of config.json under which the family says what others say under the key behind it.
  std::string_view aliases = "{}";
  // JSON: what config.json may not say otherwise, for it would change the answers.
  std::string_view expected = "{}";
  // JSON: what config.json means where it is silent, of what folders are known to leave out; what
  // comes with `more_defaults` goes before.
  std::string_view defaults = "{}", more_defaults = "{}";
};

// What config.json says beside its model type, where there are models of both kinds.
struct FamilyKind {
  bool bidirectional = false;  // of attention
  bool experts = false;
};
// Error naming the known ones.
const Family& find_family(std::string_view model_type, FamilyKind kind = {});
// The first of them that can have windows if they are needed, and has experts or none, which a
// folder is written as. Error if there is none.
const Family& find_family_of(std::string_view architecture, bool windows, bool experts);
// The first family whose models have that architecture (the fact "general.architecture"); those
// that share one call their tensors alike. Error if none has.
const Family& family_of_architecture(std::string_view architecture);

}  // namespace tessera::huggingface
