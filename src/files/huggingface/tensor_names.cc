#include "files/huggingface/tensor_names.h"

#include <algorithm>
#include <array>
#include <vector>

#include "files/huggingface/style_names.h"

namespace tessera::huggingface {
namespace {

using enum TensorRole;

// Without what kPrefixes may stand before them.
constexpr auto kRows = std::to_array<TensorNames::Row>({
    {kTokenEmbedding, "embed_tokens.weight"},
    {kOutputNorm, "norm.weight"},
    {kOutputNormBias, "norm.bias"},
    {kOutput, "lm_head.weight"},
    {kRopeFactors, "rope_factors"},  // which follow from config.json
    {kRopeFactorsLong, "rope_factors_long"},
    {kRopeFactorsShort, "rope_factors_short"},
    {kAttentionNorm, "layers.*.input_layernorm.weight"},
    {kAttentionNormBias, "layers.*.input_layernorm.bias"},
    {kQuery, "layers.*.self_attn.q_proj.weight"},
    {kKey, "layers.*.self_attn.k_proj.weight"},
    {kValue, "layers.*.self_attn.v_proj.weight"},
    {kQueryKeyValue, "layers.*.self_attn.qkv_proj.weight"},
    {kQueryBias, "layers.*.self_attn.q_proj.bias"},
    {kKeyBias, "layers.*.self_attn.k_proj.bias"},
    {kValueBias, "layers.*.self_attn.v_proj.bias"},
    {kQueryKeyValueBias, "layers.*.self_attn.qkv_proj.bias"},
    {kQueryDown, "layers.*.self_attn.q_a_proj.weight"},
    {kQueryDownNorm, "layers.*.self_attn.q_a_layernorm.weight"},
    {kQueryUp, "layers.*.self_attn.q_b_proj.weight"},
    {kKeyValueDown, "layers.*.self_attn.kv_a_proj_with_mqa.weight"},
    {kKeyValueDownNorm, "layers.*.self_attn.kv_a_layernorm.weight"},
    {kKeyUp, "layers.*.self_attn.k_b_proj.weight"},  // see split_latent
    {kValueUp, "layers.*.self_attn.v_b_proj.weight"},
    {kQueryNorm, "layers.*.self_attn.q_norm.weight"},
    {kKeyNorm, "layers.*.self_attn.k_norm.weight"},
    {kAttentionOutput, "layers.*.self_attn.o_proj.weight"},
    {kAttentionOutputBias, "layers.*.self_attn.o_proj.bias"},
    {kGate, "layers.*.mlp.gate_proj.weight"},
    {kDown, "layers.*.mlp.down_proj.weight"},
});
// Those of all heads: see stack_experts. StableLM's.
constexpr auto kHeadNorms = std::to_array<TensorNames::Row>({
    {kQueryNorm, "layers.*.self_attn.q_layernorm.norms.weight"},
    {kKeyNorm, "layers.*.self_attn.k_layernorm.norms.weight"},
});
constexpr auto kSeparate = std::to_array<TensorNames::Row>({
    {kUp, "layers.*.mlp.up_proj.weight"},
});
constexpr auto kFused = std::to_array<TensorNames::Row>({
    {kUp, "layers.*.mlp.gate_up_proj.weight"},
});
constexpr auto kExperts = std::to_array<TensorNames::Row>({
    {kRouter, "layers.*.mlp.gate.weight"},
    {kRouterCorrection, "layers.*.mlp.gate.e_score_correction_bias"},
    {kExpertsGate, "layers.*.mlp.experts.gate_proj.weight"},  // of all: see stack_experts
    {kExpertsUp, "layers.*.mlp.experts.up_proj.weight"},
    {kExpertsDown, "layers.*.mlp.experts.down_proj.weight"},
    {kSharedExpertRouter, "layers.*.mlp.shared_expert_gate.weight"},
    {kSharedExpertGate, "layers.*.mlp.shared_expert.gate_proj.weight"},
    {kSharedExpertUp, "layers.*.mlp.shared_expert.up_proj.weight"},
    {kSharedExpertDown, "layers.*.mlp.shared_expert.down_proj.weight"},
});
constexpr auto kSharedExperts = std::to_array<TensorNames::Row>({
    {kSharedExpertGate, "layers.*.mlp.shared_experts.gate_proj.weight"},
    {kSharedExpertUp, "layers.*.mlp.shared_experts.up_proj.weight"},
    {kSharedExpertDown, "layers.*.mlp.shared_experts.down_proj.weight"},
});
constexpr auto kNextTokens = std::to_array<TensorNames::Row>({
    {kNextTokenProjection, "layers.*.eh_proj.weight"},
    {kNextTokenEmbedding, "layers.*.embed_tokens.weight"},
    {kNextTokenEmbeddingNorm, "layers.*.enorm.weight"},
    {kNextTokenHiddenNorm, "layers.*.hnorm.weight"},
    {kNextTokenOutput, "layers.*.shared_head.head.weight"},
    {kNextTokenOutputNorm, "layers.*.shared_head.norm.weight"},
});
constexpr auto kFusedExperts = std::to_array<TensorNames::Row>({
    {kAttentionSinks, "layers.*.self_attn.sinks"},
    {kRouter, "layers.*.mlp.router.weight"},
    {kRouterBias, "layers.*.mlp.router.bias"},
    {kExpertsGate, "layers.*.mlp.experts.gate_proj.weight"},  // see split_fused_experts
    {kExpertsUp, "layers.*.mlp.experts.up_proj.weight"},
    {kExpertsDown, "layers.*.mlp.experts.down_proj.weight"},
    {kExpertsGateBias, "layers.*.mlp.experts.gate_proj.bias"},
    {kExpertsUpBias, "layers.*.mlp.experts.up_proj.bias"},
    {kExpertsDownBias, "layers.*.mlp.experts.down_proj.bias"},
});
constexpr auto kSparseMoeBlock = std::to_array<TensorNames::Row>({
    {kRouter, "layers.*.block_sparse_moe.gate.weight"},
    {kRouterCorrection, "layers.*.block_sparse_moe.e_score_correction_bias"},
    {kExpertsGate, "layers.*.block_sparse_moe.experts.w1.weight"},
    {kExpertsUp, "layers.*.block_sparse_moe.experts.w3.weight"},
    {kExpertsDown, "layers.*.block_sparse_moe.experts.w2.weight"},
});
// Of layers that are gated delta networks; before kRows, which spell their own queries otherwise.
constexpr auto kLinearAttention = std::to_array<TensorNames::Row>({
    {kQueryKeyValue, "layers.*.linear_attn.in_proj_qkv.weight"},  // see split_recurrent
    {kRecurrentGate, "layers.*.linear_attn.in_proj_z.weight"},
    {kRecurrentFilter, "layers.*.linear_attn.conv1d.weight"},
    {kRecurrentStep, "layers.*.linear_attn.in_proj_a.weight"},
    {kRecurrentStepBias, "layers.*.linear_attn.dt_bias"},
    {kRecurrentRate, "layers.*.linear_attn.in_proj_b.weight"},
    {kRecurrentRateAndStep, "layers.*.linear_attn.in_proj_ba.weight"},
    {kRecurrentDecay, "layers.*.linear_attn.A_log"},
    {kRecurrentNorm, "layers.*.linear_attn.norm.weight"},
    {kRecurrentOutput, "layers.*.linear_attn.out_proj.weight"},
});
constexpr auto kMamba = std::to_array<TensorNames::Row>({
    {kRecurrentInput, "layers.*.mamba.in_proj.weight"},
    {kRecurrentFilter, "layers.*.mamba.conv1d.weight"},
    {kRecurrentFilterBias, "layers.*.mamba.conv1d.bias"},
    {kRecurrentStepBias, "layers.*.mamba.dt_bias"},
    {kRecurrentDecay, "layers.*.mamba.A_log"},
    {kRecurrentSkip, "layers.*.mamba.D"},
    {kRecurrentNorm, "layers.*.mamba.norm.weight"},
    {kRecurrentOutput, "layers.*.mamba.out_proj.weight"},
});
// Granite's, once split_shared_mlp has taken gate and up apart.
constexpr auto kSharedMlp = std::to_array<TensorNames::Row>({
    {kGate, "layers.*.shared_mlp.gate_proj.weight"},
    {kUp, "layers.*.shared_mlp.up_proj.weight"},
    {kDown, "layers.*.shared_mlp.output_linear.weight"},
});
constexpr auto kSharedMlpExperts = std::to_array<TensorNames::Row>({
    {kRouter, "layers.*.block_sparse_moe.router.layer.weight"},
    {kExpertsGate, "layers.*.block_sparse_moe.gate_proj.weight"},
    {kExpertsUp, "layers.*.block_sparse_moe.up_proj.weight"},
    {kExpertsDown, "layers.*.block_sparse_moe.output_linear.weight"},
    {kSharedExpertGate, "layers.*.shared_mlp.gate_proj.weight"},
    {kSharedExpertUp, "layers.*.shared_mlp.up_proj.weight"},
    {kSharedExpertDown, "layers.*.shared_mlp.output_linear.weight"},
});
// Of families whose layers are of several kinds.
constexpr auto kGemma4Layers = std::to_array<TensorNames::Row>({
    {kPerLayerEmbedding, "embed_tokens_per_layer.weight"},
    {kPerLayerModelProjection, "per_layer_model_projection.weight"},
    {kPerLayerProjectionNorm, "per_layer_projection_norm.weight"},
    {kPerLayerGate, "layers.*.per_layer_input_gate.weight"},
    {kPerLayerProjection, "layers.*.per_layer_projection.weight"},
    {kPerLayerNorm, "layers.*.post_per_layer_input_norm.weight"},
    {kLayerScale, "layers.*.layer_scalar"},
    {kRouter, "layers.*.router.proj.weight"},
    {kRouterScale, "layers.*.router.scale"},
    {kExpertsDownScale, "layers.*.router.per_expert_scale"},
    {kExpertsGateUp, "layers.*.experts.gate_up_proj"},
    {kExpertsDown, "layers.*.experts.down_proj"},
    {kExpertsNorm, "layers.*.pre_feedforward_layernorm_2.weight"},
    {kPostExpertsNorm, "layers.*.post_feedforward_layernorm_2.weight"},
    {kPostDenseNorm, "layers.*.post_feedforward_layernorm_1.weight"},
});
// The same experts one by one.
constexpr auto kStackedExperts = std::to_array<TensorNames::Row>({
    {kExpertsGate, "layers.*.experts.gate_proj.weight"},
    {kExpertsUp, "layers.*.experts.up_proj.weight"},
    {kExpertsDown, "layers.*.experts.down_proj.weight"},
});
constexpr auto kPreNorms = std::to_array<TensorNames::Row>({
    {kFeedForwardNorm, "layers.*.post_attention_layernorm.weight"},
    {kFeedForwardNormBias, "layers.*.post_attention_layernorm.bias"},
});
constexpr auto kNormAfterAttention = std::to_array<TensorNames::Row>({
    {kPostAttentionNorm, "layers.*.post_attention_layernorm.weight"},
});
constexpr auto kPostNorms = std::to_array<TensorNames::Row>({
    {kPostAttentionNorm, "layers.*.post_attention_layernorm.weight"},
    {kFeedForwardNorm, "layers.*.pre_feedforward_layernorm.weight"},
    {kPostFeedForwardNorm, "layers.*.post_feedforward_layernorm.weight"},
});

// Modules of sentence-transformers, beside any style's.
constexpr auto kModules = std::to_array<TensorNames::Row>({
    {kDense2, "2_Dense.linear.weight"},
    {kDense3, "3_Dense.linear.weight"},
});

// The tables of a family: all rows of all of them.
std::vector<TensorNames> tables(const Family& family) {
  using Rows = std::span<const TensorNames::Row>;
  if (family.style != TensorStyle::kLlama) {
    const StyleNames names = style_of(family.style);
    return {TensorNames(names.rows), TensorNames(names.older)};
  }
  const Rows recurrent = family.recurrent == RecurrentStyle::kLinearAttention
                             ? Rows(kLinearAttention)
                         : family.recurrent == RecurrentStyle::kMamba ? Rows(kMamba)
                                                                      : Rows();
  const Rows shared_mlp = !family.shared_mlp ? Rows()
                          : family.experts   ? Rows(kSharedMlpExperts)
                                             : Rows(kSharedMlp);
  return {TensorNames(recurrent),
          TensorNames(shared_mlp),
          TensorNames(kRows),
          TensorNames(family.fused ? Rows(kFused) : Rows(kSeparate)),
          TensorNames(family.gemma4_layers      ? Rows(kGemma4Layers)
                      : family.sparse_moe_block ? Rows(kSparseMoeBlock)
                      : family.fused_experts    ? Rows(kFusedExperts)
                                                : Rows(kExperts)),
          TensorNames(family.gemma4_layers ? Rows(kStackedExperts) : Rows(kSharedExperts)),
          TensorNames(family.next_token_layers ? Rows(kNextTokens) : Rows()),
          TensorNames(kModules),
          TensorNames(kHeadNorms),
          TensorNames(family.post_norms             ? Rows(kPostNorms)
                      : family.norm_after_attention ? Rows(kNormAfterAttention)
                                                    : Rows(kPreNorms))};
}

// Longest first. Models that see or hear keep their text model under a name of its own.
constexpr auto kPrefixes = std::to_array<std::string_view>(
    {"model.language_model.", "language_model.model.", "language_model.", "model.decoder.",
     "decoder.", "gpt_neox.", "transformer.", "backbone.", "model.", "roberta.", "bert."});

}  // namespace

std::string tensor_name(const Family& family, TensorPlace place) {
  for (const TensorNames& table : tables(family)) {
    const std::string name = table.name_of(place);
    const bool is_output = place.role == kOutput || place.role == kOutputBias;
    if (!name.empty()) return is_output ? name : std::string(style_of(family.style).prefix) + name;
  }
  return {};
}

TensorPlace tensor_place(const Family& family, std::string_view name) {
  std::string renamed;
  if (family.style == TensorStyle::kBert) {  // as the first BERT's weights are called
    for (const auto& [old, now] : {std::pair(".gamma", ".weight"), std::pair(".beta", ".bias")}) {
      if (!name.ends_with(old)) continue;
      name = renamed = std::string(name.substr(0, name.rfind('.'))) + now;
    }
  }
  const auto prefix =
      std::ranges::find_if(kPrefixes, [&](std::string_view p) { return name.starts_with(p); });
  if (prefix != kPrefixes.end()) name.remove_prefix(prefix->size());
  for (const TensorNames& table : tables(family)) {
    const TensorPlace place = table.place_of(name);
    if (place.role != kUnknown) return place;
  }
  return {};
}

namespace {

// Of tasks that a model which embeds texts was trained on: what is behind its hidden states.
bool is_of_task(std::string_view name) {
  constexpr auto kHeads =
      std::to_array<std::string_view>({"pooler.", "cls.", "lm_head.", "classifier.", "head.",
                                       "decoder.", "embeddings.position_ids"});
  for (const std::string_view prefix : {"model.", "roberta.", "bert."}) {
    if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
  }
  return std::ranges::any_of(kHeads, [&](std::string_view part) { return name.starts_with(part); });
}

}  // namespace

bool is_ignored(const Family& family, std::string_view name) {
  if (family.bidirectional && is_of_task(name)) return true;
  constexpr auto kTowers = std::to_array<std::string_view>(
      {"vision_tower.", "vision_model.", "visual.", "audio_tower.", "multi_modal_projector.",
       "vision_embedder.", "embed_vision.", "embed_audio."});
  if (name.starts_with("model.")) name.remove_prefix(6);
  // Of layers that predict further tokens, the first is of use.
  if (name.starts_with("mtp.") &&
      !(family.next_token_layers &&
        (!name.starts_with("mtp.layers.") || name.starts_with("mtp.layers.0."))))
    return true;
  const bool of_tower =
      std::ranges::any_of(kTowers, [&](std::string_view part) { return name.starts_with(part); });
  // The last four are GPT's masks of the future.
  constexpr auto kTables =
      std::to_array<std::string_view>({".rotary_emb.inv_freq", ".attn.bias", ".attn.masked_bias",
                                       ".attention.bias", ".attention.masked_bias"});
  return of_tower ||
         std::ranges::any_of(kTables, [&](std::string_view end) { return name.ends_with(end); });
}

}  // namespace tessera::huggingface
