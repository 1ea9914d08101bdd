#include "files/huggingface/style_names.h"

#include <array>

namespace tessera::huggingface {
namespace {

using enum TensorRole;

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
    {kAttentionNorm, "h.*.ln_mlp.weight"},  // of the models with two
    {kAttentionNormBias, "h.*.ln_mlp.bias"},
    {kAttentionNorm2, "h.*.ln_attn.weight"},
    {kAttentionNorm2Bias, "h.*.ln_attn.bias"},
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
constexpr auto kFalconH1 = std::to_array<TensorNames::Row>({
    {kTokenEmbedding, "embed_tokens.weight"},
    {kOutputNorm, "final_layernorm.weight"},
    {kOutput, "lm_head.weight"},
    {kAttentionNorm, "layers.*.input_layernorm.weight"},
    {kQuery, "layers.*.self_attn.q_proj.weight"},
    {kKey, "layers.*.self_attn.k_proj.weight"},
    {kValue, "layers.*.self_attn.v_proj.weight"},
    {kAttentionOutput, "layers.*.self_attn.o_proj.weight"},
    {kRecurrentInput, "layers.*.mamba.in_proj.weight"},
    {kRecurrentFilter, "layers.*.mamba.conv1d.weight"},
    {kRecurrentFilterBias, "layers.*.mamba.conv1d.bias"},
    {kRecurrentStepBias, "layers.*.mamba.dt_bias"},
    {kRecurrentDecay, "layers.*.mamba.A_log"},
    {kRecurrentSkip, "layers.*.mamba.D"},
    {kRecurrentNorm, "layers.*.mamba.norm.weight"},
    {kRecurrentOutput, "layers.*.mamba.out_proj.weight"},
    {kFeedForwardNorm, "layers.*.pre_ff_layernorm.weight"},
    {kGate, "layers.*.feed_forward.gate_proj.weight"},
    {kUp, "layers.*.feed_forward.up_proj.weight"},
    {kDown, "layers.*.feed_forward.down_proj.weight"},
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
constexpr auto kLlama4 = std::to_array<TensorNames::Row>({
    {kTokenEmbedding, "embed_tokens.weight"},
    {kOutputNorm, "norm.weight"},
    {kOutput, "lm_head.weight"},
    {kRopeFactors, "rope_factors"},  // which follow from config.json
    {kAttentionNorm, "layers.*.input_layernorm.weight"},
    {kQuery, "layers.*.self_attn.q_proj.weight"},
    {kKey, "layers.*.self_attn.k_proj.weight"},
    {kValue, "layers.*.self_attn.v_proj.weight"},
    {kAttentionOutput, "layers.*.self_attn.o_proj.weight"},
    {kFeedForwardNorm, "layers.*.post_attention_layernorm.weight"},
    {kGate, "layers.*.feed_forward.gate_proj.weight"},
    {kUp, "layers.*.feed_forward.up_proj.weight"},
    {kDown, "layers.*.feed_forward.down_proj.weight"},
    {kRouter, "layers.*.feed_forward.router.weight"},
    {kExpertsGate, "layers.*.feed_forward.experts.gate_proj.weight"},  // see split_llama4_experts
    {kExpertsUp, "layers.*.feed_forward.experts.up_proj.weight"},
    {kExpertsDown, "layers.*.feed_forward.experts.down_proj.weight"},
    {kSharedExpertGate, "layers.*.feed_forward.shared_expert.gate_proj.weight"},
    {kSharedExpertUp, "layers.*.feed_forward.shared_expert.up_proj.weight"},
    {kSharedExpertDown, "layers.*.feed_forward.shared_expert.down_proj.weight"},
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

}  // namespace

StyleNames style_of(TensorStyle style) {
  switch (style) {
    case TensorStyle::kGpt2:
      return {kGpt2, "transformer.", {}};
    case TensorStyle::kGptNeoX:
      return {kGptNeoX, "gpt_neox.", {}};
    case TensorStyle::kPhi:
      return {kPhi, "model.", {}};
    case TensorStyle::kStarCoder2:
      return {kStarCoder2, "model.", {}};
    case TensorStyle::kOpt:
      return {kOpt, "model.decoder.", {}};
    case TensorStyle::kFalcon:
      return {kFalcon, "transformer.", {}};
    case TensorStyle::kBloom:
      return {kBloom, "transformer.", {}};
    case TensorStyle::kMpt:
      return {kMpt, "transformer.", {}};
    case TensorStyle::kLfm2:
      return {kLfm2, "model.", {}};
    case TensorStyle::kNemotronH:
      return {kNemotronH, "backbone.", {}};
    case TensorStyle::kFalconH1:
      return {kFalconH1, "model.", {}};
    case TensorStyle::kMamba2:
      return {kMamba2, "backbone.", kStateSpaces};
    case TensorStyle::kBert:
      return {kBert, "", {}};
    case TensorStyle::kNomicBert:
      return {kNomicBert, "", {}};
    case TensorStyle::kModernBert:
      return {kModernBert, "", {}};
    case TensorStyle::kLlama4:
      return {kLlama4, "model.", {}};
    case TensorStyle::kLlama:
      break;
  }
  return {{}, "model.", {}};
}

}  // namespace tessera::huggingface
