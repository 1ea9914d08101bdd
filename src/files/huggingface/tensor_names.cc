#include "files/huggingface/tensor_names.h"

#include <algorithm>
#include <array>
#include <vector>

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

// Of other styles: all names, and what stands before all of them but the output's.
constexpr auto kGpt2 = std::to_array<TensorNames::Row>({
    {kTokenEmbedding, "wte.weight"},
    {kPositionEmbedding, "wpe.weight"},
    {kOutputNorm, "ln_f.weight"},
    {kOutputNormBias, "ln_f.bias"},
    {kOutput, "lm_head.weight"},
    {kAttentionNorm, "h.*.ln_1.weight"},
    {kAttentionNormBias, "h.*.ln_1.bias"},
    {kQueryKeyValue, "h.*.attn.c_attn.weight"},
    {kQueryKeyValueBias, "h.*.attn.c_attn.bias"},
    {kAttentionOutput, "h.*.attn.c_proj.weight"},
    {kAttentionOutputBias, "h.*.attn.c_proj.bias"},
    {kFeedForwardNorm, "h.*.ln_2.weight"},
    {kFeedForwardNormBias, "h.*.ln_2.bias"},
    {kUp, "h.*.mlp.c_fc.weight"},
    {kUpBias, "h.*.mlp.c_fc.bias"},
    {kDown, "h.*.mlp.c_proj.weight"},
    {kDownBias, "h.*.mlp.c_proj.bias"},
});
constexpr auto kGptNeoX = std::to_array<TensorNames::Row>({
    {kTokenEmbedding, "embed_in.weight"},
    {kOutputNorm, "final_layer_norm.weight"},
    {kOutputNormBias, "final_layer_norm.bias"},
    {kOutput, "embed_out.weight"},
    {kAttentionNorm, "layers.*.input_layernorm.weight"},
    {kAttentionNormBias, "layers.*.input_layernorm.bias"},
    {kQueryKeyValue, "layers.*.attention.query_key_value.weight"},
    {kQueryKeyValueBias, "layers.*.attention.query_key_value.bias"},
    {kAttentionOutput, "layers.*.attention.dense.weight"},
    {kAttentionOutputBias, "layers.*.attention.dense.bias"},
    {kFeedForwardNorm, "layers.*.post_attention_layernorm.weight"},
    {kFeedForwardNormBias, "layers.*.post_attention_layernorm.bias"},
    {kUp, "layers.*.mlp.dense_h_to_4h.weight"},
    {kUpBias, "layers.*.mlp.dense_h_to_4h.bias"},
    {kDown, "layers.*.mlp.dense_4h_to_h.weight"},
    {kDownBias, "layers.*.mlp.dense_4h_to_h.bias"},
});
constexpr auto kPhi = std::to_array<TensorNames::Row>({
    {kTokenEmbedding, "embed_tokens.weight"},
    {kOutputNorm, "final_layernorm.weight"},
    {kOutputNormBias, "final_layernorm.bias"},
    {kOutput, "lm_head.weight"},
    {kOutputBias, "lm_head.bias"},
    {kAttentionNorm, "layers.*.input_layernorm.weight"},
    {kAttentionNormBias, "layers.*.input_layernorm.bias"},
    {kQuery, "layers.*.self_attn.q_proj.weight"},
    {kQueryBias, "layers.*.self_attn.q_proj.bias"},
    {kKey, "layers.*.self_attn.k_proj.weight"},
    {kKeyBias, "layers.*.self_attn.k_proj.bias"},
    {kValue, "layers.*.self_attn.v_proj.weight"},
    {kValueBias, "layers.*.self_attn.v_proj.bias"},
    {kAttentionOutput, "layers.*.self_attn.dense.weight"},
    {kAttentionOutputBias, "layers.*.self_attn.dense.bias"},
    {kUp, "layers.*.mlp.fc1.weight"},
    {kUpBias, "layers.*.mlp.fc1.bias"},
    {kDown, "layers.*.mlp.fc2.weight"},
    {kDownBias, "layers.*.mlp.fc2.bias"},
});
constexpr auto kStarCoder2 = std::to_array<TensorNames::Row>({
    {kTokenEmbedding, "embed_tokens.weight"},
    {kOutputNorm, "norm.weight"},
    {kOutputNormBias, "norm.bias"},
    {kOutput, "lm_head.weight"},
    {kAttentionNorm, "layers.*.input_layernorm.weight"},
    {kAttentionNormBias, "layers.*.input_layernorm.bias"},
    {kQuery, "layers.*.self_attn.q_proj.weight"},
    {kQueryBias, "layers.*.self_attn.q_proj.bias"},
    {kKey, "layers.*.self_attn.k_proj.weight"},
    {kKeyBias, "layers.*.self_attn.k_proj.bias"},
    {kValue, "layers.*.self_attn.v_proj.weight"},
    {kValueBias, "layers.*.self_attn.v_proj.bias"},
    {kAttentionOutput, "layers.*.self_attn.o_proj.weight"},
    {kAttentionOutputBias, "layers.*.self_attn.o_proj.bias"},
    {kFeedForwardNorm, "layers.*.post_attention_layernorm.weight"},
    {kFeedForwardNormBias, "layers.*.post_attention_layernorm.bias"},
    {kUp, "layers.*.mlp.c_fc.weight"},
    {kUpBias, "layers.*.mlp.c_fc.bias"},
    {kDown, "layers.*.mlp.c_proj.weight"},
    {kDownBias, "layers.*.mlp.c_proj.bias"},
});
constexpr auto kOpt = std::to_array<TensorNames::Row>({
    {kTokenEmbedding, "embed_tokens.weight"},
    {kPositionEmbedding, "embed_positions.weight"},
    {kOutputNorm, "final_layer_norm.weight"},
    {kOutputNormBias, "final_layer_norm.bias"},
    {kOutput, "lm_head.weight"},
    {kAttentionNorm, "layers.*.self_attn_layer_norm.weight"},
    {kAttentionNormBias, "layers.*.self_attn_layer_norm.bias"},
    {kQuery, "layers.*.self_attn.q_proj.weight"},
    {kQueryBias, "layers.*.self_attn.q_proj.bias"},
    {kKey, "layers.*.self_attn.k_proj.weight"},
    {kKeyBias, "layers.*.self_attn.k_proj.bias"},
    {kValue, "layers.*.self_attn.v_proj.weight"},
    {kValueBias, "layers.*.self_attn.v_proj.bias"},
    {kAttentionOutput, "layers.*.self_attn.out_proj.weight"},
    {kAttentionOutputBias, "layers.*.self_attn.out_proj.bias"},
    {kFeedForwardNorm, "layers.*.final_layer_norm.weight"},
    {kFeedForwardNormBias, "layers.*.final_layer_norm.bias"},
    {kUp, "layers.*.fc1.weight"},
    {kUpBias, "layers.*.fc1.bias"},
    {kDown, "layers.*.fc2.weight"},
    {kDownBias, "layers.*.fc2.bias"},
});
constexpr auto kFalcon = std::to_array<TensorNames::Row>({
    {kTokenEmbedding, "word_embeddings.weight"},
    {kOutputNorm, "ln_f.weight"},
    {kOutputNormBias, "ln_f.bias"},
    {kOutput, "lm_head.weight"},
    {kAttentionNorm, "h.*.input_layernorm.weight"},
    {kAttentionNormBias, "h.*.input_layernorm.bias"},
    {kQueryKeyValue, "h.*.self_attention.query_key_value.weight"},
    {kQueryKeyValueBias, "h.*.self_attention.query_key_value.bias"},
    {kAttentionOutput, "h.*.self_attention.dense.weight"},
    {kAttentionOutputBias, "h.*.self_attention.dense.bias"},
    {kUp, "h.*.mlp.dense_h_to_4h.weight"},
    {kUpBias, "h.*.mlp.dense_h_to_4h.bias"},
    {kDown, "h.*.mlp.dense_4h_to_h.weight"},
    {kDownBias, "h.*.mlp.dense_4h_to_h.bias"},
});
constexpr auto kBloom = std::to_array<TensorNames::Row>({
    {kTokenEmbedding, "word_embeddings.weight"},
    {kEmbeddingNorm, "word_embeddings_layernorm.weight"},
    {kEmbeddingNormBias, "word_embeddings_layernorm.bias"},
    {kOutputNorm, "ln_f.weight"},
    {kOutputNormBias, "ln_f.bias"},
    {kOutput, "lm_head.weight"},
    {kAttentionNorm, "h.*.input_layernorm.weight"},
    {kAttentionNormBias, "h.*.input_layernorm.bias"},
    {kQueryKeyValue, "h.*.self_attention.query_key_value.weight"},
    {kQueryKeyValueBias, "h.*.self_attention.query_key_value.bias"},
    {kAttentionOutput, "h.*.self_attention.dense.weight"},
    {kAttentionOutputBias, "h.*.self_attention.dense.bias"},
    {kUp, "h.*.mlp.dense_h_to_4h.weight"},
    {kUpBias, "h.*.mlp.dense_h_to_4h.bias"},
    {kDown, "h.*.mlp.dense_4h_to_h.weight"},
    {kDownBias, "h.*.mlp.dense_4h_to_h.bias"},
    {kFeedForwardNorm, "h.*.post_attention_layernorm.weight"},
    {kFeedForwardNormBias, "h.*.post_attention_layernorm.bias"},
});
constexpr auto kMpt = std::to_array<TensorNames::Row>({
    {kTokenEmbedding, "wte.weight"},
    {kOutputNorm, "norm_f.weight"},
    {kOutputNormBias, "norm_f.bias"},
    {kOutput, "lm_head.weight"},
    {kAttentionNorm, "blocks.*.norm_1.weight"},
    {kAttentionNormBias, "blocks.*.norm_1.bias"},
    {kQueryKeyValue, "blocks.*.attn.Wqkv.weight"},
    {kQueryKeyValueBias, "blocks.*.attn.Wqkv.bias"},
    {kAttentionOutput, "blocks.*.attn.out_proj.weight"},
    {kAttentionOutputBias, "blocks.*.attn.out_proj.bias"},
    {kFeedForwardNorm, "blocks.*.norm_2.weight"},
    {kFeedForwardNormBias, "blocks.*.norm_2.bias"},
    {kUp, "blocks.*.ffn.up_proj.weight"},
    {kUpBias, "blocks.*.ffn.up_proj.bias"},
    {kDown, "blocks.*.ffn.down_proj.weight"},
    {kDownBias, "blocks.*.ffn.down_proj.bias"},
});

constexpr auto kLfm2 = std::to_array<TensorNames::Row>({
    {kTokenEmbedding, "embed_tokens.weight"},
    {kEmbeddingNorm, "embedding_norm.weight"},  // of the output, for all its name
    {kOutput, "lm_head.weight"},
    {kAttentionNorm, "layers.*.operator_norm.weight"},
    {kConvolutionInput, "layers.*.conv.in_proj.weight"},
    {kConvolutionFilter, "layers.*.conv.conv.weight"},
    {kConvolutionOutput, "layers.*.conv.out_proj.weight"},
    {kQuery, "layers.*.self_attn.q_proj.weight"},
    {kKey, "layers.*.self_attn.k_proj.weight"},
    {kValue, "layers.*.self_attn.v_proj.weight"},
    {kQueryNorm, "layers.*.self_attn.q_layernorm.weight"},
    {kKeyNorm, "layers.*.self_attn.k_layernorm.weight"},
    {kAttentionOutput, "layers.*.self_attn.out_proj.weight"},
    {kFeedForwardNorm, "layers.*.ffn_norm.weight"},
    {kGate, "layers.*.feed_forward.w1.weight"},
    {kUp, "layers.*.feed_forward.w3.weight"},
    {kDown, "layers.*.feed_forward.w2.weight"},
    {kRouter, "layers.*.feed_forward.gate.weight"},
    {kRouterCorrection, "layers.*.feed_forward.expert_bias"},
    {kExpertsGate, "layers.*.feed_forward.experts.w1.weight"},
    {kExpertsUp, "layers.*.feed_forward.experts.w3.weight"},
    {kExpertsDown, "layers.*.feed_forward.experts.w2.weight"},
});
constexpr auto kNemotronH = std::to_array<TensorNames::Row>({
    {kTokenEmbedding, "embeddings.weight"},
    {kOutputNorm, "norm_f.weight"},
    {kOutput, "lm_head.weight"},
    {kAttentionNorm, "layers.*.norm.weight"},
    {kQuery, "layers.*.mixer.q_proj.weight"},
    {kKey, "layers.*.mixer.k_proj.weight"},
    {kValue, "layers.*.mixer.v_proj.weight"},
    {kAttentionOutput, "layers.*.mixer.o_proj.weight"},
    {kUp, "layers.*.mixer.up_proj.weight"},
    {kDown, "layers.*.mixer.down_proj.weight"},
    {kRouter, "layers.*.mixer.gate.weight"},
    {kRouterCorrection, "layers.*.mixer.gate.e_score_correction_bias"},
    {kExpertsUp, "layers.*.mixer.experts.up_proj.weight"},
    {kExpertsDown, "layers.*.mixer.experts.down_proj.weight"},
    {kExpertsLatentDown, "layers.*.mixer.fc1_latent_proj.weight"},
    {kExpertsLatentUp, "layers.*.mixer.fc2_latent_proj.weight"},
    {kSharedExpertUp, "layers.*.mixer.shared_experts.up_proj.weight"},
    {kSharedExpertDown, "layers.*.mixer.shared_experts.down_proj.weight"},
    {kRecurrentInput, "layers.*.mixer.in_proj.weight"},
    {kRecurrentFilter, "layers.*.mixer.conv1d.weight"},
    {kRecurrentFilterBias, "layers.*.mixer.conv1d.bias"},
    {kRecurrentStepBias, "layers.*.mixer.dt_bias"},
    {kRecurrentDecay, "layers.*.mixer.A_log"},
    {kRecurrentSkip, "layers.*.mixer.D"},
    {kRecurrentNorm, "layers.*.mixer.norm.weight"},
    {kRecurrentOutput, "layers.*.mixer.out_proj.weight"},
});
// As transformers calls what state-spaces/mamba calls otherwise, and as that does.
constexpr auto kMamba2 = std::to_array<TensorNames::Row>({
    {kTokenEmbedding, "embeddings.weight"},
    {kOutputNorm, "norm_f.weight"},
    {kOutput, "lm_head.weight"},
    {kAttentionNorm, "layers.*.norm.weight"},
    {kRecurrentInput, "layers.*.mixer.in_proj.weight"},
    {kRecurrentFilter, "layers.*.mixer.conv1d.weight"},
    {kRecurrentFilterBias, "layers.*.mixer.conv1d.bias"},
    {kRecurrentStepBias, "layers.*.mixer.dt_bias"},
    {kRecurrentDecay, "layers.*.mixer.A_log"},
    {kRecurrentSkip, "layers.*.mixer.D"},
    {kRecurrentNorm, "layers.*.mixer.norm.weight"},
    {kRecurrentOutput, "layers.*.mixer.out_proj.weight"},
});
constexpr auto kStateSpaces = std::to_array<TensorNames::Row>({
    {kTokenEmbedding, "embedding.weight"},
});
constexpr auto kBert = std::to_array<TensorNames::Row>({
    {kTokenEmbedding, "embeddings.word_embeddings.weight"},
    {kPositionEmbedding, "embeddings.position_embeddings.weight"},
    {kTokenTypeEmbedding, "embeddings.token_type_embeddings.weight"},
    {kEmbeddingNorm, "embeddings.LayerNorm.weight"},
    {kEmbeddingNormBias, "embeddings.LayerNorm.bias"},
    {kQuery, "encoder.layer.*.attention.self.query.weight"},
    {kQueryBias, "encoder.layer.*.attention.self.query.bias"},
    {kKey, "encoder.layer.*.attention.self.key.weight"},
    {kKeyBias, "encoder.layer.*.attention.self.key.bias"},
    {kValue, "encoder.layer.*.attention.self.value.weight"},
    {kValueBias, "encoder.layer.*.attention.self.value.bias"},
    {kAttentionOutput, "encoder.layer.*.attention.output.dense.weight"},
    {kAttentionOutputBias, "encoder.layer.*.attention.output.dense.bias"},
    {kAttentionOutputNorm, "encoder.layer.*.attention.output.LayerNorm.weight"},
    {kAttentionOutputNormBias, "encoder.layer.*.attention.output.LayerNorm.bias"},
    {kUp, "encoder.layer.*.intermediate.dense.weight"},
    {kUpBias, "encoder.layer.*.intermediate.dense.bias"},
    {kDown, "encoder.layer.*.output.dense.weight"},
    {kDownBias, "encoder.layer.*.output.dense.bias"},
    {kLayerOutputNorm, "encoder.layer.*.output.LayerNorm.weight"},
    {kLayerOutputNormBias, "encoder.layer.*.output.LayerNorm.bias"},
});
constexpr auto kNomicBert = std::to_array<TensorNames::Row>({
    {kTokenEmbedding, "embeddings.word_embeddings.weight"},
    {kTokenTypeEmbedding, "embeddings.token_type_embeddings.weight"},
    {kEmbeddingNorm, "emb_ln.weight"},
    {kEmbeddingNormBias, "emb_ln.bias"},
    {kQueryKeyValue, "encoder.layers.*.attn.Wqkv.weight"},
    {kAttentionOutput, "encoder.layers.*.attn.out_proj.weight"},
    {kAttentionOutputNorm, "encoder.layers.*.norm1.weight"},
    {kAttentionOutputNormBias, "encoder.layers.*.norm1.bias"},
    {kUp, "encoder.layers.*.mlp.fc11.weight"},
    {kGate, "encoder.layers.*.mlp.fc12.weight"},
    {kDown, "encoder.layers.*.mlp.fc2.weight"},
    {kLayerOutputNorm, "encoder.layers.*.norm2.weight"},
    {kLayerOutputNormBias, "encoder.layers.*.norm2.bias"},
});
constexpr auto kModernBert = std::to_array<TensorNames::Row>({
    {kTokenEmbedding, "embeddings.tok_embeddings.weight"},
    {kEmbeddingNorm, "embeddings.norm.weight"},
    {kEmbeddingNormBias, "embeddings.norm.bias"},
    {kAttentionNorm, "layers.*.attn_norm.weight"},
    {kAttentionNormBias, "layers.*.attn_norm.bias"},
    {kQueryKeyValue, "layers.*.attn.Wqkv.weight"},
    {kQueryKeyValueBias, "layers.*.attn.Wqkv.bias"},
    {kAttentionOutput, "layers.*.attn.Wo.weight"},
    {kAttentionOutputBias, "layers.*.attn.Wo.bias"},
    {kFeedForwardNorm, "layers.*.mlp_norm.weight"},
    {kFeedForwardNormBias, "layers.*.mlp_norm.bias"},
    {kUp, "layers.*.mlp.Wi.weight"},
    {kDown, "layers.*.mlp.Wo.weight"},
    {kOutputNorm, "final_norm.weight"},
    {kOutputNormBias, "final_norm.bias"},
});
// Modules of sentence-transformers, beside any style's.
constexpr auto kModules = std::to_array<TensorNames::Row>({
    {kDense2, "2_Dense.linear.weight"},
    {kDense3, "3_Dense.linear.weight"},
});

struct Style {
  std::span<const TensorNames::Row> rows;
  std::string_view prefix;
};

// Of all styles but kLlama.
Style style_of(TensorStyle style) {
  switch (style) {
    case TensorStyle::kGpt2:
      return {kGpt2, "transformer."};
    case TensorStyle::kGptNeoX:
      return {kGptNeoX, "gpt_neox."};
    case TensorStyle::kPhi:
      return {kPhi, "model."};
    case TensorStyle::kStarCoder2:
      return {kStarCoder2, "model."};
    case TensorStyle::kOpt:
      return {kOpt, "model.decoder."};
    case TensorStyle::kFalcon:
      return {kFalcon, "transformer."};
    case TensorStyle::kBloom:
      return {kBloom, "transformer."};
    case TensorStyle::kMpt:
      return {kMpt, "transformer."};
    case TensorStyle::kLfm2:
      return {kLfm2, "model."};
    case TensorStyle::kNemotronH:
      return {kNemotronH, "backbone."};
    case TensorStyle::kMamba2:
      return {kMamba2, "backbone."};
    case TensorStyle::kBert:
      return {kBert, ""};
    case TensorStyle::kNomicBert:
      return {kNomicBert, ""};
    case TensorStyle::kModernBert:
      return {kModernBert, ""};
    case TensorStyle::kLlama:
      break;
  }
  return {{}, "model."};
}

// The tables of a family: all rows of all of them.
std::vector<TensorNames> tables(const Family& family) {
  using Rows = std::span<const TensorNames::Row>;
  if (family.style == TensorStyle::kMamba2)
    return {TensorNames(kMamba2), TensorNames(kStateSpaces)};
  if (family.style != TensorStyle::kLlama) return {TensorNames(style_of(family.style).rows)};
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
