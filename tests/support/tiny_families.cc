#include "support/tiny_families.h"

namespace tessera::tiny {
namespace {

constexpr Holds kFamilies[] = {
    {.architecture = "gemma", .tied = true},
    {.architecture = "lfm2", .qk_norms = Holds::kOfHeads, .layers = 5},
    {.architecture = "lfm2moe", .qk_norms = Holds::kOfHeads, .layers = 5},
    {.architecture = "granitehybrid", .layers = 5},
    {.architecture = "nemotron_h", .gate = false, .layers = 7},
    {.architecture = "nemotron_h_moe", .gate = false, .layers = 7},
    {.architecture = "smollm3", .layers = 5},
    {.architecture = "olmo2",
     .pre_norms = false,
     .post_norms = true,
     .qk_norms = Holds::kOfRows,
     .window = 24,
     .layers = 4},
    {.architecture = "granite"},
    {.architecture = "exaone4",
     .pre_norms = false,
     .post_norms = true,
     .qk_norms = Holds::kOfHeads,
     .window = 24,
     .layers = 4},
    {.architecture = "mistral3"},
    {.architecture = "gpt2",
     .layer_norms = true,
     .biases = true,
     .fused_qkv = true,
     .gate = false,
     .positions = true},
    {.architecture = "opt", .layer_norms = true, .biases = true, .gate = false, .positions = true},
    {.architecture = "gptneox",
     .layer_norms = true,
     .biases = true,
     .fused_qkv = true,
     .gate = false},
    {.architecture = "phi2",
     .layer_norms = true,
     .biases = true,
     .feed_forward_norm = false,
     .gate = false},
    {.architecture = "stablelm", .layer_norms = true},
    {.architecture = "cohere2",
     .layer_norms = true,
     .feed_forward_norm = false,
     .window = 24,
     .layers = 4,
     .tied = true},
    {.architecture = "bloom",
     .layer_norms = true,
     .biases = true,
     .fused_qkv = true,
     .gate = false,
     .embedding_norm = true},
    {.architecture = "mpt", .layer_norms = true, .fused_qkv = true, .gate = false},
    {.architecture = "olmoe", .qk_norms = Holds::kOfRows},
    {.architecture = "minimax-m2", .qk_norms = Holds::kOfRows},
    {.architecture = "llama4", .layers = 5},
};

int half_of_odd(bool uneven, int layer, int value) {
  return uneven && layer % 2 == 1 ? value / 2 : value;
}

}  // namespace

Holds holds_of(const TinyModelSpec& spec) {
  for (const Holds& family : kFamilies)
    if (family.architecture == spec.architecture) return family;
  return {.architecture = spec.architecture,
          .post_norms = is_gemma(spec),
          .qk_norms = is_qwen3(spec) || is_recurrent(spec) || spec.architecture == "gemma3" ||
                              is_gemma4(spec)
                          ? Holds::kOfHeads
                          : Holds::kNone,
          .fused_qkv = spec.architecture == "phi3",
          .window = is_gemma(spec) || is_gpt_oss(spec) ? 24 : 0,
          .layers = spec.architecture == "gemma3"   ? 7
                    : is_gemma4(spec)               ? 6
                    : spec.architecture == "gemma2" ? 3
                    : is_recurrent(spec)            ? 5  // of which the fourth attends
                                                    : 0,
          .tied = is_gemma(spec)};
}

int heads_of(const TinyModelSpec& spec, int layer) {
  if (is_mamba2(spec)) return 0;
  return half_of_odd(spec.uneven_layers, layer, spec.heads);
}
int kv_heads_of(const TinyModelSpec& spec, int layer) {
  // What recurrent layers are like, Qwen's files say otherwise.
  if (!attends(spec, layer) && !is_recurrent(spec)) return 0;
  if (has_keys_as_values(spec, layer)) return spec.kv_heads / 2;
  return half_of_odd(spec.uneven_kv_heads, layer, spec.kv_heads);
}
int head_dim_of(const TinyModelSpec& spec, int layer) {
  if (is_unwindowed(spec, layer)) return 2 * spec.head_dim;
  return half_of_odd(spec.uneven_head_dims, layer, spec.head_dim);
}
int feed_forward_of(const TinyModelSpec& spec, int layer) {
  if (!feeds_forward(spec, layer)) return 0;
  if (shares_kv(spec, layer)) return 2 * spec.feed_forward;
  return half_of_odd(spec.uneven_layers, layer, spec.feed_forward);
}

int expert_width(const TinyModelSpec& spec) {
  return spec.architecture == "llama" ? spec.feed_forward : spec.feed_forward / 2;
}

}  // namespace tessera::tiny
