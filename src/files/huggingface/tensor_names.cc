#include "files/huggingface/tensor_names.h"

#include <algorithm>
#include <array>

namespace tessera::huggingface {
namespace {

using enum TensorRole;

// Without what kPrefixes may stand before them.
constexpr auto kRows = std::to_array<TensorNames::Row>({
    {kTokenEmbedding, "embed_tokens.weight"},
    {kOutputNorm, "norm.weight"},
    {kOutput, "lm_head.weight"},
    {kRopeFactors, "rope_factors"},  // which follow from config.json
    {kRopeFactorsLong, "rope_factors_long"},
    {kRopeFactorsShort, "rope_factors_short"},
    {kAttentionNorm, "layers.*.input_layernorm.weight"},
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
    {kExpertsGate, "layers.*.block_sparse_moe.experts.w1.weight"},
    {kExpertsUp, "layers.*.block_sparse_moe.experts.w3.weight"},
    {kExpertsDown, "layers.*.block_sparse_moe.experts.w2.weight"},
});
constexpr auto kPreNorms = std::to_array<TensorNames::Row>({
    {kFeedForwardNorm, "layers.*.post_attention_layernorm.weight"},
});
constexpr auto kNormAfterAttention = std::to_array<TensorNames::Row>({
    {kPostAttentionNorm, "layers.*.post_attention_layernorm.weight"},
});
constexpr auto kPostNorms = std::to_array<TensorNames::Row>({
    {kPostAttentionNorm, "layers.*.post_attention_layernorm.weight"},
    {kFeedForwardNorm, "layers.*.pre_feedforward_layernorm.weight"},
    {kPostFeedForwardNorm, "layers.*.post_feedforward_layernorm.weight"},
});

// The tables of a family: all rows of all of them.
std::array<TensorNames, 5> tables(const Family& family) {
  using Rows = std::span<const TensorNames::Row>;
  return {TensorNames(kRows), TensorNames(family.fused ? Rows(kFused) : Rows(kSeparate)),
          TensorNames(family.sparse_moe_block ? Rows(kSparseMoeBlock)
                      : family.fused_experts  ? Rows(kFusedExperts)
                                              : Rows(kExperts)),
          TensorNames(kSharedExperts),
          TensorNames(family.post_norms             ? Rows(kPostNorms)
                      : family.norm_after_attention ? Rows(kNormAfterAttention)
                                                    : Rows(kPreNorms))};
}

// Longest first. Models that see or hear keep their text model under a name of its own.
constexpr auto kPrefixes = std::to_array<std::string_view>(
    {"model.language_model.", "language_model.model.", "language_model.", "model."});

}  // namespace

std::string tensor_name(const Family& family, TensorPlace place) {
  for (const TensorNames& table : tables(family)) {
    const std::string name = table.name_of(place);
    if (!name.empty()) return place.role == kOutput ? name : "model." + name;
  }
  return {};
}

TensorPlace tensor_place(const Family& family, std::string_view name) {
  const auto prefix =
      std::ranges::find_if(kPrefixes, [&](std::string_view p) { return name.starts_with(p); });
  if (prefix != kPrefixes.end()) name.remove_prefix(prefix->size());
  for (const TensorNames& table : tables(family)) {
    const TensorPlace place = table.place_of(name);
    if (place.role != kUnknown) return place;
  }
  return {};
}

bool is_ignored(std::string_view name) {
  constexpr auto kTowers = std::to_array<std::string_view>(
      {"vision_tower.", "vision_model.", "audio_tower.", "multi_modal_projector."});
  if (name.starts_with("model.")) name.remove_prefix(6);
  const bool of_tower =
      std::ranges::any_of(kTowers, [&](std::string_view part) { return name.starts_with(part); });
  return of_tower || name.ends_with(".rotary_emb.inv_freq");
}

}  // namespace tessera::huggingface
