#include "files/huggingface/families.h"

#include <array>
#include <string>

#include "base/error.h"
#include "base/printable.h"

namespace tessera::huggingface {
namespace {

// Sources: the families' configuration and modeling files in Hugging Face's transformers.
constexpr std::array kFamilies = {
    Family{.model_type = "llama",
           .architecture = "llama",
           .class_name = "LlamaForCausalLM",
           .interleaved_rope = true,
           .windows = false,
           .defaults = R"({"rms_norm_eps": 1e-6, "max_position_embeddings": 2048,
                           "rope_theta": 10000.0, "hidden_act": "silu"})"},
    Family{.model_type = "mistral",
           .architecture = "llama",
           .class_name = "MistralForCausalLM",
           .interleaved_rope = true,
           .defaults = R"({"rms_norm_eps": 1e-6, "max_position_embeddings": 131072,
                           "rope_theta": 10000.0, "hidden_act": "silu",
                           "num_key_value_heads": 8, "sliding_window": 4096})"},
    Family{.model_type = "mixtral",
           .architecture = "llama",
           .class_name = "MixtralForCausalLM",
           .interleaved_rope = true,
           .experts = true,
           .sparse_moe_block = true,
           .defaults = R"({"rms_norm_eps": 1e-5, "max_position_embeddings": 131072,
                           "rope_theta": 1000000.0, "hidden_act": "silu",
                           "num_key_value_heads": 8,
                           "num_experts_per_tok": 2, "norm_topk_prob": true})"},
    Family{.model_type = "qwen2",
           .architecture = "qwen2",
           .class_name = "Qwen2ForCausalLM",
           .defaults = R"({"rms_norm_eps": 1e-6, "max_position_embeddings": 32768,
                           "rope_theta": 10000.0, "hidden_act": "silu",
                           "use_sliding_window": false, "sliding_window": 4096,
                           "max_window_layers": 28})"},
    Family{.model_type = "qwen3",
           .architecture = "qwen3",
           .class_name = "Qwen3ForCausalLM",
           .defaults = R"({"rms_norm_eps": 1e-6, "max_position_embeddings": 32768,
                           "rope_theta": 10000.0, "hidden_act": "silu", "head_dim": 128,
                           "use_sliding_window": false, "sliding_window": 4096,
                           "max_window_layers": 28})"},
    Family{.model_type = "qwen2_moe",
           .architecture = "qwen2moe",
           .class_name = "Qwen2MoeForCausalLM",
           .experts = true,
           .defaults = R"({"rms_norm_eps": 1e-6, "max_position_embeddings": 32768,
                           "rope_theta": 10000.0, "hidden_act": "silu",
                           "use_sliding_window": false, "sliding_window": 4096,
                           "max_window_layers": 28,
                           "num_experts_per_tok": 4, "moe_intermediate_size": 1408,
                           "shared_expert_intermediate_size": 5632, "norm_topk_prob": false})"},
    Family{.model_type = "qwen3_moe",
           .architecture = "qwen3moe",
           .class_name = "Qwen3MoeForCausalLM",
           .experts = true,
           .defaults = R"({"rms_norm_eps": 1e-6, "max_position_embeddings": 32768,
                           "rope_theta": 10000.0, "hidden_act": "silu",
                           "use_sliding_window": false, "sliding_window": 4096,
                           "max_window_layers": 28,
                           "num_experts_per_tok": 8, "moe_intermediate_size": 768,
                           "norm_topk_prob": false})"},
    Family{.model_type = "deepseek_v3",
           .architecture = "deepseek2",
           .class_name = "DeepseekV3ForCausalLM",
           .experts = true,
           .latent_attention = true,
           .sigmoid_gating = true,
           .windows = false,
           .defaults = R"({"rms_norm_eps": 1e-6, "max_position_embeddings": 4096,
                           "rope_theta": 10000.0, "hidden_act": "silu", "q_lora_rank": null,
                           "num_experts_per_tok": 8, "moe_intermediate_size": 2048,
                           "n_shared_experts": 1, "first_k_dense_replace": 3,
                           "n_group": 8, "topk_group": 4,
                           "routed_scaling_factor": 2.5, "norm_topk_prob": true})"},
    Family{.model_type = "glm4_moe",
           .architecture = "glm4moe",
           .class_name = "Glm4MoeForCausalLM",
           .norm_after_attention = true,
           .experts = true,
           .windows = false,
           .defaults = R"({"rms_norm_eps": 1e-5, "max_position_embeddings": 131072,
                           "rope_theta": 10000.0, "hidden_act": "silu",
                           "partial_rotary_factor": 0.5, "num_key_value_heads": 8,
                           "num_experts_per_tok": 8, "moe_intermediate_size": 1408,
                           "n_shared_experts": 1, "first_k_dense_replace": 1,
                           "routed_scaling_factor": 1.0, "norm_topk_prob": true})"},
    Family{.model_type = "gpt_oss",
           .architecture = "gpt-oss",
           .class_name = "GptOssForCausalLM",
           .norm_after_attention = true,
           .experts = true,
           .fused_experts = true,
           .defaults = R"({"rms_norm_eps": 1e-5, "max_position_embeddings": 131072,
                           "rope_theta": 150000.0, "hidden_act": "silu", "head_dim": 64,
                           "sliding_window": 128, "sliding_window_pattern": 2,
                           "num_experts_per_tok": 4})"},
    Family{.model_type = "gemma2",
           .architecture = "gemma2",
           .class_name = "Gemma2ForCausalLM",
           .activation = "gelu_pytorch_tanh",
           .norms_add_one = true,
           .post_norms = true,
           .head_dim_scale_layers = 45,
           .defaults = R"({"rms_norm_eps": 1e-6, "max_position_embeddings": 8192,
                           "rope_theta": 10000.0, "hidden_activation": "gelu_pytorch_tanh",
                           "head_dim": 256, "query_pre_attn_scalar": 256,
                           "sliding_window": 4096, "sliding_window_pattern": 2,
                           "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0})"},
    Family{.model_type = "gemma3_text",
           .architecture = "gemma3",
           .class_name = "Gemma3ForCausalLM",
           .activation = "gelu_pytorch_tanh",
           .norms_add_one = true,
           .post_norms = true,
           .head_dim_scale_layers = 61,
           .defaults = R"({"rms_norm_eps": 1e-6, "max_position_embeddings": 131072,
                           "rope_theta": 1000000.0, "rope_local_base_freq": 10000.0,
                           "hidden_activation": "gelu_pytorch_tanh",
                           "num_attention_heads": 8, "num_key_value_heads": 4,
                           "head_dim": 256, "query_pre_attn_scalar": 256,
                           "sliding_window": 4096, "sliding_window_pattern": 6})"},
    Family{.model_type = "phi3",
           .architecture = "phi3",
           .class_name = "Phi3ForCausalLM",
           .fused = true,
           .defaults = R"({"rms_norm_eps": 1e-5, "max_position_embeddings": 4096,
                           "original_max_position_embeddings": 4096,
                           "rope_theta": 10000.0, "hidden_act": "silu"})"},
};

}  // namespace

const Family& find_family(std::string_view model_type) {
  std::string known;
  for (const Family& family : kFamilies) {
    if (family.model_type == model_type) return family;
    known += (known.empty() ? "" : ", ") + std::string(family.model_type);
  }
  fail("model_type '{}' is not supported (supported: {})", printable(model_type), known);
}

const Family& family_of_architecture(std::string_view architecture) {
  for (const Family& family : kFamilies) {
    if (family.architecture == architecture) return family;
  }
  fail("what Hugging Face calls the tensors of '{}' models is not known", printable(architecture));
}

const Family& find_family_of(std::string_view architecture, bool windows) {
  for (const Family& family : kFamilies) {
    if (family.architecture == architecture && (family.windows || !windows)) return family;
  }
  fail("models of the architecture '{}' cannot be written as a Hugging Face folder",
       printable(architecture));
}

}  // namespace tessera::huggingface
