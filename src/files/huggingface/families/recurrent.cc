#include "files/huggingface/families/tables.h"

#include <array>

namespace tessera::huggingface {
namespace {

// The same but for what `change` says.
template <typename Change>
constexpr Family like(Family family, Change change) {
  change(family);
  return family;
}

constexpr Family kQwen35Family = {
    .model_type = "qwen3_5_text",
    .architecture = "qwen35",
    .class_name = "Qwen3_5ForCausalLM",
    .norms_add_one = true,
    .norm_after_attention = true,
    .next_token_layers = true,
    .windows = false,
    .recurrent = RecurrentStyle::kLinearAttention,
    .writable = false,
    .expected = R"({"attn_output_gate": true})",
    .defaults = R"({"rms_norm_eps": 1e-6, "max_position_embeddings": 32768,
             "rope_theta": 10000000.0, "head_dim": 256,
             "partial_rotary_factor": 0.25, "mrope_section": [11, 11, 10],
             "linear_conv_kernel_dim": 4, "linear_key_head_dim": 128,
             "linear_value_head_dim": 128, "linear_num_key_heads": 16,
             "linear_num_value_heads": 32})"};
constexpr Family kQwen35MoeFamily = like(kQwen35Family, [](Family& family) {
  family.model_type = "qwen3_5_moe_text";
  family.architecture = "qwen35moe";
  family.class_name = "Qwen3_5MoeForCausalLM";
  family.experts = true;
  family.more_defaults = R"({"num_experts_per_tok": 8, "moe_intermediate_size": 512,
                             "shared_expert_intermediate_size": 512, "intermediate_size": 512,
                             "norm_topk_prob": true})";
});
constexpr Family kQwen3NextFamily = like(kQwen35MoeFamily, [](Family& family) {
  family.model_type = "qwen3_next";
  family.architecture = "qwen3next";
  family.class_name = "Qwen3NextForCausalLM";
  family.expected = "{}";
  family.more_defaults = R"({"rope_theta": 10000.0, "mrope_section": null,
                             "num_experts_per_tok": 10, "moe_intermediate_size": 512,
                             "shared_expert_intermediate_size": 512, "norm_topk_prob": true})";
});

constexpr Family kLfm2Family = {
    .model_type = "lfm2",
    .architecture = "lfm2",
    .class_name = "Lfm2ForCausalLM",
    .windows = false,
    .recurrent = RecurrentStyle::kConvolution,
    .style = TensorStyle::kLfm2,
    .writable = false,
    .aliases = R"({"norm_eps": "rms_norm_eps", "tie_embedding": "tie_word_embeddings",
                   "block_ff_dim": "intermediate_size"})",
    .expected = R"({"conv_bias": false})",
    .defaults = R"({"rms_norm_eps": 1e-5, "max_position_embeddings": 128000,
                    "rope_theta": 1000000.0, "conv_L_cache": 3, "tie_word_embeddings": true})",
    .more_defaults = R"({"block_auto_adjust_ff_dim": true, "block_ffn_dim_multiplier": 1.0,
                         "block_multiple_of": 256})"};
constexpr Family kLfm2MoeFamily = like(kLfm2Family, [](Family& family) {
  family.model_type = "lfm2_moe";
  family.architecture = "lfm2moe";
  family.class_name = "Lfm2MoeForCausalLM";
  family.experts = true;
  family.sigmoid_gating = true;
  family.aliases = R"({"norm_eps": "rms_norm_eps", "tie_embedding": "tie_word_embeddings",
                       "num_dense_layers": "first_k_dense_replace"})";
  family.expected = R"({"conv_bias": false, "use_expert_bias": true})";
  family.more_defaults = R"({"first_k_dense_replace": 2, "num_experts_per_tok": 4,
                             "moe_intermediate_size": 1792, "routed_scaling_factor": 1.0,
                             "norm_topk_prob": true})";
});

constexpr Family kGranite4Family = {
    .model_type = "granitemoehybrid",
    .architecture = "granitehybrid",
    .class_name = "GraniteMoeHybridForCausalLM",
    .interleaved_rope = true,
    .shared_mlp = true,
    .windows = false,
    .recurrent = RecurrentStyle::kMamba,
    .multipliers = true,
    .writable = false,
    .aliases = R"({"shared_intermediate_size": "intermediate_size"})",
    .expected = R"({"mamba_proj_bias": false})",
    .defaults = R"({"rms_norm_eps": 1e-6, "max_position_embeddings": 2048, "rope_theta": 10000.0,
                    "mamba_d_conv": 4, "mamba_n_groups": 1})"};
constexpr Family kGranite4MoeFamily = like(kGranite4Family, [](Family& family) {
  family.experts = true;
  family.aliases = R"({"shared_intermediate_size": "shared_expert_intermediate_size"})";
  family.more_defaults = R"({"num_experts_per_tok": 2})";
});

constexpr Family kNemotronHFamily = {
    .model_type = "nemotron_h",
    .architecture = "nemotron_h",
    .class_name = "NemotronHForCausalLM",
    .activation = "relu2",
    .windows = false,
    .recurrent = RecurrentStyle::kMamba,
    .style = TensorStyle::kNemotronH,
    .rotary = false,
    .writable = false,
    .aliases = R"({"layer_norm_epsilon": "rms_norm_eps", "mlp_hidden_act": "hidden_act",
                   "ssm_state_size": "mamba_d_state", "mamba_num_heads": "mamba_n_heads",
                   "mamba_head_dim": "mamba_d_head", "n_groups": "mamba_n_groups",
                   "conv_kernel": "mamba_d_conv",
                   "moe_shared_expert_intermediate_size": "shared_expert_intermediate_size"})",
    .expected = R"({"mamba_proj_bias": false, "use_bias": false, "mlp_bias": false,
                    "attention_bias": false})",
    .defaults = R"({"rms_norm_eps": 1e-5, "max_position_embeddings": 4096, "mamba_d_conv": 4,
                    "mamba_n_groups": 8})"};
constexpr Family kNemotron3Family = like(kNemotronHFamily, [](Family& family) {
  family.architecture = "nemotron_h_moe";
  family.experts = true;
  family.sigmoid_gating = true;
  family.more_defaults = R"({"n_routed_experts": 8, "n_shared_experts": 1,
                             "num_experts_per_tok": 2, "moe_intermediate_size": 7688,
                             "shared_expert_intermediate_size": 7688, "n_group": 1,
                             "topk_group": 1, "routed_scaling_factor": 1.0,
                             "norm_topk_prob": true})";
});

constexpr Family kFalconH1Family = {
    .model_type = "falcon_h1",
    .architecture = "falcon-h1",
    .class_name = "FalconH1ForCausalLM",
    .windows = false,
    .recurrent = RecurrentStyle::kMamba,
    .style = TensorStyle::kFalconH1,
    .writable = false,
    .expected = R"({"mamba_proj_bias": false, "projectors_bias": false, "mlp_bias": false,
                    "attention_bias": false})",
    .defaults = R"({"rms_norm_eps": 1e-5, "max_position_embeddings": 8192, "rope_theta": 100000.0,
                    "num_key_value_heads": 8, "mamba_d_conv": 4, "mamba_n_groups": 1,
                    "mamba_d_state": 256, "mamba_n_heads": 128, "mamba_d_head": 64})"};

constexpr Family kMamba2Family = {
    .model_type = "mamba2",
    .architecture = "mamba2",
    .class_name = "Mamba2ForCausalLM",
    .windows = false,
    .recurrent = RecurrentStyle::kMamba,
    .style = TensorStyle::kMamba2,
    .rotary = false,
    .writable = false,
    .aliases = R"({"layer_norm_epsilon": "rms_norm_eps", "state_size": "mamba_d_state",
                   "num_heads": "mamba_n_heads", "head_dim": "mamba_d_head",
                   "n_groups": "mamba_n_groups", "conv_kernel": "mamba_d_conv"})",
    .expected = R"({"use_bias": false, "rms_norm": true, "norm_before_gate": false})",
    .defaults = R"({"rms_norm_eps": 1e-5, "max_position_embeddings": 1048576, "mamba_d_conv": 4,
                    "mamba_n_groups": 8, "mamba_d_state": 128, "mamba_d_head": 64,
                    "mamba_n_heads": 128})"};

constexpr std::array kRecurrentFamilies = {kQwen35Family,      kQwen35MoeFamily, kQwen3NextFamily,
                                           kLfm2Family,        kLfm2MoeFamily,   kGranite4Family,
                                           kGranite4MoeFamily, kNemotronHFamily, kNemotron3Family,
                                           kFalconH1Family,    kMamba2Family};

}  // namespace

std::span<const Family> recurrent_families() {
  return kRecurrentFamilies;
}

}  // namespace tessera::huggingface
