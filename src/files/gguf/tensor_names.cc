#include "files/gguf/tensor_names.h"

#include <algorithm>
#include <array>

namespace tessera::gguf {
namespace {

constexpr auto kRows = std::to_array<TensorNames::Row>({
    {TensorRole::kTokenEmbedding, "token_embd.weight"},
    {TensorRole::kPerLayerEmbedding, "per_layer_token_embd.weight"},
    {TensorRole::kPerLayerModelProjection, "per_layer_model_proj.weight"},
    {TensorRole::kPerLayerProjectionNorm, "per_layer_proj_norm.weight"},
    {TensorRole::kPositionEmbedding, "position_embd.weight"},
    {TensorRole::kTokenTypeEmbedding, "token_types.weight"},
    {TensorRole::kEmbeddingNorm, "token_embd_norm.weight"},
    {TensorRole::kEmbeddingNormBias, "token_embd_norm.bias"},
    {TensorRole::kOutputNorm, "output_norm.weight"},
    {TensorRole::kOutputNormBias, "output_norm.bias"},
    {TensorRole::kOutput, "output.weight"},
    {TensorRole::kOutputBias, "output.bias"},
    {TensorRole::kDense2, "dense_2.weight"},
    {TensorRole::kDense3, "dense_3.weight"},
    {TensorRole::kRopeFactors, "rope_freqs.weight"},
    {TensorRole::kRopeFactorsLong, "rope_factors_long.weight"},
    {TensorRole::kRopeFactorsShort, "rope_factors_short.weight"},
    {TensorRole::kAttentionNorm, "blk.*.attn_norm.weight"},
    {TensorRole::kAttentionNormBias, "blk.*.attn_norm.bias"},
    {TensorRole::kAttentionNorm2, "blk.*.attn_norm_2.weight"},
    {TensorRole::kAttentionNorm2Bias, "blk.*.attn_norm_2.bias"},
    {TensorRole::kQuery, "blk.*.attn_q.weight"},
    {TensorRole::kKey, "blk.*.attn_k.weight"},
    {TensorRole::kValue, "blk.*.attn_v.weight"},
    {TensorRole::kQueryKeyValue, "blk.*.attn_qkv.weight"},
    {TensorRole::kQueryDown, "blk.*.attn_q_a.weight"},
    {TensorRole::kQueryDownNorm, "blk.*.attn_q_a_norm.weight"},
    {TensorRole::kQueryUp, "blk.*.attn_q_b.weight"},
    {TensorRole::kKeyValueDown, "blk.*.attn_kv_a_mqa.weight"},
    {TensorRole::kKeyValueDownNorm, "blk.*.attn_kv_a_norm.weight"},
    {TensorRole::kKeyUp, "blk.*.attn_k_b.weight"},
    {TensorRole::kValueUp, "blk.*.attn_v_b.weight"},
    {TensorRole::kKeyValueUp, "blk.*.attn_kv_b.weight"},
    {TensorRole::kQueryBias, "blk.*.attn_q.bias"},
    {TensorRole::kKeyBias, "blk.*.attn_k.bias"},
    {TensorRole::kValueBias, "blk.*.attn_v.bias"},
    {TensorRole::kQueryKeyValueBias, "blk.*.attn_qkv.bias"},
    {TensorRole::kQueryNorm, "blk.*.attn_q_norm.weight"},
    {TensorRole::kQueryNormBias, "blk.*.attn_q_norm.bias"},
    {TensorRole::kKeyNorm, "blk.*.attn_k_norm.weight"},
    {TensorRole::kKeyNormBias, "blk.*.attn_k_norm.bias"},
    {TensorRole::kAttentionOutput, "blk.*.attn_output.weight"},
    {TensorRole::kAttentionOutputBias, "blk.*.attn_output.bias"},
    {TensorRole::kAttentionSinks, "blk.*.attn_sinks.weight"},
    {TensorRole::kRecurrentInput, "blk.*.ssm_in.weight"},
    {TensorRole::kRecurrentGate, "blk.*.attn_gate.weight"},
    {TensorRole::kRecurrentFilter, "blk.*.ssm_conv1d.weight"},
    {TensorRole::kRecurrentFilterBias, "blk.*.ssm_conv1d.bias"},
    {TensorRole::kRecurrentStep, "blk.*.ssm_alpha.weight"},
    {TensorRole::kRecurrentStepBias, "blk.*.ssm_dt.bias"},
    {TensorRole::kRecurrentRate, "blk.*.ssm_beta.weight"},
    {TensorRole::kRecurrentRateAndStep, "blk.*.ssm_ba.weight"},
    {TensorRole::kRecurrentDecay, "blk.*.ssm_a"},
    {TensorRole::kRecurrentSkip, "blk.*.ssm_d"},
    {TensorRole::kRecurrentNorm, "blk.*.ssm_norm.weight"},
    {TensorRole::kRecurrentOutput, "blk.*.ssm_out.weight"},
    {TensorRole::kConvolutionInput, "blk.*.shortconv.in_proj.weight"},
    {TensorRole::kConvolutionFilter, "blk.*.shortconv.conv.weight"},
    {TensorRole::kConvolutionOutput, "blk.*.shortconv.out_proj.weight"},
    {TensorRole::kPostAttentionNorm, "blk.*.post_attention_norm.weight"},
    {TensorRole::kAttentionOutputNorm, "blk.*.attn_output_norm.weight"},
    {TensorRole::kAttentionOutputNormBias, "blk.*.attn_output_norm.bias"},
    {TensorRole::kFeedForwardNorm, "blk.*.ffn_norm.weight"},
    {TensorRole::kFeedForwardNormBias, "blk.*.ffn_norm.bias"},
    {TensorRole::kGate, "blk.*.ffn_gate.weight"},
    {TensorRole::kUp, "blk.*.ffn_up.weight"},
    {TensorRole::kUpBias, "blk.*.ffn_up.bias"},
    {TensorRole::kDown, "blk.*.ffn_down.weight"},
    {TensorRole::kDownBias, "blk.*.ffn_down.bias"},
    {TensorRole::kRouter, "blk.*.ffn_gate_inp.weight"},
    {TensorRole::kRouterBias, "blk.*.ffn_gate_inp.bias"},
    {TensorRole::kRouterCorrection, "blk.*.exp_probs_b.bias"},
    {TensorRole::kExpertsGate, "blk.*.ffn_gate_exps.weight"},
    {TensorRole::kExpertsUp, "blk.*.ffn_up_exps.weight"},
    {TensorRole::kExpertsGateUp, "blk.*.ffn_gate_up_exps.weight"},
    {TensorRole::kExpertsDown, "blk.*.ffn_down_exps.weight"},
    {TensorRole::kExpertsLatentDown, "blk.*.ffn_latent_down.weight"},
    {TensorRole::kExpertsLatentUp, "blk.*.ffn_latent_up.weight"},
    {TensorRole::kExpertsGateBias, "blk.*.ffn_gate_exps.bias"},
    {TensorRole::kExpertsUpBias, "blk.*.ffn_up_exps.bias"},
    {TensorRole::kExpertsDownBias, "blk.*.ffn_down_exps.bias"},
    {TensorRole::kExpertsDownScale, "blk.*.ffn_down_exps.scale"},
    {TensorRole::kRouterScale, "blk.*.ffn_gate_inp.scale"},
    {TensorRole::kExpertsNorm, "blk.*.pre_ffw_norm_2.weight"},
    {TensorRole::kPostExpertsNorm, "blk.*.post_ffw_norm_2.weight"},
    {TensorRole::kPostDenseNorm, "blk.*.post_ffw_norm_1.weight"},
    {TensorRole::kSharedExpertRouter, "blk.*.ffn_gate_inp_shexp.weight"},
    {TensorRole::kSharedExpertGate, "blk.*.ffn_gate_shexp.weight"},
    {TensorRole::kSharedExpertUp, "blk.*.ffn_up_shexp.weight"},
    {TensorRole::kSharedExpertDown, "blk.*.ffn_down_shexp.weight"},
    {TensorRole::kPostFeedForwardNorm, "blk.*.post_ffw_norm.weight"},
    {TensorRole::kLayerOutputNorm, "blk.*.layer_output_norm.weight"},
    {TensorRole::kLayerOutputNormBias, "blk.*.layer_output_norm.bias"},
    {TensorRole::kPerLayerGate, "blk.*.inp_gate.weight"},
    {TensorRole::kPerLayerProjection, "blk.*.proj.weight"},
    {TensorRole::kPerLayerNorm, "blk.*.post_norm.weight"},
    {TensorRole::kLayerScale, "blk.*.layer_output_scale.weight"},
    {TensorRole::kNextTokenProjection, "blk.*.nextn.eh_proj.weight"},
    {TensorRole::kNextTokenEmbedding, "blk.*.nextn.embed_tokens.weight"},
    {TensorRole::kNextTokenEmbeddingNorm, "blk.*.nextn.enorm.weight"},
    {TensorRole::kNextTokenHiddenNorm, "blk.*.nextn.hnorm.weight"},
    {TensorRole::kNextTokenOutput, "blk.*.nextn.shared_head_head.weight"},
    {TensorRole::kNextTokenOutputNorm, "blk.*.nextn.shared_head_norm.weight"},
    {TensorRole::kMedusaBlock, "blk.*.medusa.weight"},
    {TensorRole::kMedusaBlockBias, "blk.*.medusa.bias"},
    {TensorRole::kMedusaOutput, "blk.*.medusa_output.weight"},
    {TensorRole::kTokenMap, "token_map"},
});
constexpr TensorNames kNames(kRows);

// As llama.cpp names them in single families: Falcon-H1's norm has no ending. Read in any.
constexpr auto kOtherRows = std::to_array<TensorNames::Row>({
    {TensorRole::kFeedForwardNorm, "blk.*.ffn_norm"},
});
constexpr TensorNames kOtherNames(kOtherRows);

// Parts of the names of tensors that are kDelicate, in any family that has a GGUF conversion.
constexpr auto kDelicateParts = std::to_array<std::string_view>({
    "_norm.weight",
    "ffn_gate_tid2eid.weight",
    "altup",
    "laurel",
    "per_layer_model_proj",
    "ssm_conv1d",
    "shortconv.conv.weight",
    "indexer.k_proj.weight",
    "indexer.q_proj.weight",
    "time_mix_first.weight",
    "time_mix_w0.weight",
    "time_mix_w1.weight",
    "time_mix_w2.weight",
    "time_mix_v0.weight",
    "time_mix_v1.weight",
    "time_mix_v2.weight",
    "time_mix_a0.weight",
    "time_mix_a1.weight",
    "time_mix_a2.weight",
    "time_mix_g1.weight",
    "time_mix_g2.weight",
    "time_mix_decay_w1.weight",
    "time_mix_decay_w2.weight",
    "time_mix_lerp_fused.weight",
    "attn_rel_b.weight",
    "position_embd",
    "token_types.weight",
    ".rel_pos",
    ".patch_embd",
    ".patch_merger",
});

bool is_delicate(std::string_view name) {
  return std::ranges::any_of(kDelicateParts, [&](std::string_view part) {
    return name.find(part) != std::string_view::npos;
  });
}

}  // namespace

std::string tensor_name(TensorPlace place, std::string_view architecture) {
  const std::string other = architecture == "falcon-h1" ? kOtherNames.name_of(place) : "";
  return other.empty() ? kNames.name_of(place) : other;
}

TensorPlace tensor_place(std::string_view name) {
  TensorPlace place = kNames.place_of(name);
  if (place.role == TensorRole::kUnknown) place = kOtherNames.place_of(name);
  const size_t block = name.find(".blk.");
  if (place.role == TensorRole::kUnknown && block != std::string_view::npos) {
    place.role = kNames.place_of(name.substr(block + 1)).role;
  }
  if (place.role == TensorRole::kUnknown && is_delicate(name)) place.role = TensorRole::kDelicate;
  return place;
}

}  // namespace tessera::gguf
