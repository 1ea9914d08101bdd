#include "model/architecture.h"

#include <array>
#include <string>

#include "base/error.h"

namespace tessera {
namespace {

// Sources: each family's technical report and its GGUF conversion.
constexpr std::array kArchitectures = {
    Architecture{.name = "llama",
                 .note = "Llama 1 to 3, Mistral, Mixtral, SmolLM",
                 .interleaved_rope = true,
                 .normalize_experts = true},
    Architecture{.name = "qwen2", .note = "Qwen 1.5 to 2.5", .qkv_bias = true},
    Architecture{.name = "qwen3", .note = "Qwen 3, dense", .qk_norm = true},
    Architecture{.name = "qwen2moe",
                 .note = "Qwen 1.5 and 2, mixtures of experts",
                 .qkv_bias = true,
                 .shared_expert_gate = true},
    Architecture{.name = "qwen3moe",
                 .note = "Qwen 3, mixtures of experts",
                 .qk_norm = true,
                 .normalize_experts = true},
    Architecture{.name = "deepseek2",
                 .note = "DeepSeek V2 to V3.1",
                 .interleaved_rope = true},
    Architecture{.name = "glm4moe",
                 .note = "GLM 4.5 to 4.7",
                 .may_have_qk_norm = true,
                 .feed_forward_norm = TensorRole::kPostAttentionNorm,
                 .gating = Gating::kSigmoid,
                 .normalize_experts = true},
    Architecture{.name = "gpt-oss",
                 .note = "gpt-oss 20b, 120b",
                 .activation = Activation::kClampedSilu,
                 .qkv_bias = true,
                 .attention_sinks = true,
                 .feed_forward_norm = TensorRole::kPostAttentionNorm,
                 .gating = Gating::kSoftmaxOfChosen,
                 .expert_biases = true,
                 .window_period = 2},
    Architecture{.name = "gemma2",
                 .note = "Gemma 2",
                 .activation = Activation::kGelu,
                 .scale_embeddings = true,
                 .post_norms = true,
                 .window_period = 2,
                 .head_dim_scale_layers = 45},
    Architecture{.name = "gemma3",
                 .note = "Gemma 3, text",
                 .activation = Activation::kGelu,
                 .scale_embeddings = true,
                 .post_norms = true,
                 .qk_norm = true,
                 .window_period = 6,
                 .local_rope_base = 10000.0f,
                 .head_dim_scale_layers = 61},
    Architecture{
        .name = "phi3", .note = "Phi 3, Phi 3.5, Phi 4", .fused_qkv = true, .fused_gate_up = true},
};

}  // namespace

const Architecture& find_architecture(std::string_view name) {
  std::string known;
  for (const Architecture& architecture : kArchitectures) {
    if (architecture.name == name) return architecture;
    known += (known.empty() ? "" : ", ") + std::string(architecture.name);
  }
  fail("architecture '{}' is not supported (supported: {})", name, known);
}

}  // namespace tessera
