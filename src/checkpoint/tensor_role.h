// What a tensor does in the transformer, whatever its file calls it.
#pragma once

#include <cstdint>

namespace tessera {

enum class TensorRole : uint8_t {
  kUnknown,   // no table knows its name
  kDelicate,  // no matrix worth compressing: small, or it steers what happens (positions, the
              // mixing of state-space models), so that its error costs more than its bytes; see
              // is_delicate

  // Of the model as a whole.
  kTokenEmbedding,           // [vocabulary, embedding]
  kPerLayerEmbedding,        // a second table that every layer reads from (Gemma 3n)
  kPerLayerModelProjection,  // [layers * per-layer length, embedding]: what it is added to
  kPerLayerProjectionNorm,   // [per-layer length]
  kPositionEmbedding,        // [positions, embedding], added to the tokens' (GPT-2)
  kTokenTypeEmbedding,       // [types, embedding], added to the tokens', too: of texts that are
                             // alone the first row (BERT)
  kEmbeddingNorm,            // of the embeddings, before the first layer (BLOOM)
  kEmbeddingNormBias,
  kOutputNorm,
  kOutputNormBias,
  kOutput,           // [vocabulary, embedding]; absent where the token embedding is the output, too
  kOutputBias,       // of the logits
  kDense2,           // what a text's pooled states go through: modules 2 and 3 of
  kDense3,           // sentence-transformers (EmbeddingGemma)
  kRopeFactors,      // what each rotary frequency is divided by (Llama 3.1)
  kRopeFactorsLong,  // the same beyond the original context (LongRoPE),
  kRopeFactorsShort,  // and within it

  // Of each layer.
  kAttentionNorm,
  kAttentionNormBias,
  kAttentionNorm2,  // attention's own, where the other is the feed-forward's (Falcon 40B)
  kAttentionNorm2Bias,
  kQuery,
  kKey,
  kValue,
  kQueryKeyValue,  // the three in one matrix, stacked by rows
  // Of multi-head latent attention.
  kQueryDown,
  kQueryDownNorm,
  kQueryUp,
  kKeyValueDown,  // to the latent, and to the key that is rotated
  kKeyValueDownNorm,
  kKeyUp,       // [heads, latent, key]: each head's queries into the space of the latent
  kValueUp,     // [heads, value, latent]
  kKeyValueUp,  // from the compressed keys and values to each head's (multi-head latent attention)
  kQueryBias,
  kKeyBias,
  kValueBias,
  kQueryKeyValueBias,
  kQueryNorm,
  kQueryNormBias,
  kKeyNorm,
  kKeyNormBias,
  kAttentionOutput,
  kAttentionOutputBias,
  kAttentionSinks,  // [heads]: a score that takes its share of the attention to nothing
  kPostAttentionNorm,
  kAttentionOutputNorm,  // of the residual stream behind attention (post-LayerNorm, BERT)
  kAttentionOutputNormBias,
  kFeedForwardNorm,
  kFeedForwardNormBias,
  kGate,
  kUp,  // in architectures that fuse the two: gate, then up, stacked by rows
  kUpBias,
  kDown,
  kDownBias,
  kPostFeedForwardNorm,
  kLayerOutputNorm,  // of the residual stream behind the feed-forward
  kLayerOutputNormBias,
  kPerLayerGate,        // [per-layer length, embedding]
  kPerLayerProjection,  // [embedding, per-layer length]
  kPerLayerNorm,        // of what that adds
  kLayerScale,          // [1]: of what the layer makes of the residual stream

  // Of recurrent layers: gated delta networks, whose queries, keys and values come from
  // kQueryKeyValue, and state-space models.
  kRecurrentInput,        // all that a state-space layer needs (Mamba-2): gate, values, keys (B),
                          // queries (C), steps, stacked by rows
  kRecurrentGate,         // [values, embedding]: what gates the output
  kRecurrentFilter,       // [channels, taps] of the causal convolution
  kRecurrentFilterBias,   // [channels]
  kRecurrentStep,         // [heads, embedding]: how far a token moves the state (alpha)
  kRecurrentStepBias,     // [heads]
  kRecurrentRate,         // [heads, embedding]: at what rate it is written (beta)
  kRecurrentRateAndStep,  // [2 heads, embedding]: both, by groups of heads that share a key
  kRecurrentDecay,        // [heads], negative: the logarithm of the decay for a step of 1
  kRecurrentSkip,         // [heads]: what of the values goes past the state (D)
  kRecurrentNorm,
  kRecurrentOutput,  // [embedding, values]
  // Of layers that are a gated short convolution (LFM2).
  kConvolutionInput,   // [3 embedding, embedding]
  kConvolutionFilter,  // [embedding, taps]
  kConvolutionOutput,  // [embedding, embedding]

  // Of a mixture of experts.
  kRouter,            // [experts, embedding]
  kRouterBias,        // [experts]
  kRouterCorrection,  // what is added to the scores of experts where they are chosen, not weighed
  kExpertsGate,       // of all experts: [experts, feed_forward, embedding]
  kExpertsUp,
  kExpertsGateUp,      // both in one: of each expert the gate's rows, then up's
  kExpertsDown,        // [experts, embedding, feed_forward]
  kExpertsLatentDown,  // [latent, embedding]: what experts read instead of the stream,
  kExpertsLatentUp,    // [embedding, latent]: and what is made of their answers (Nemotron 3)
  kExpertsGateBias,    // [experts, feed_forward]
  kExpertsUpBias,
  kExpertsDownBias,     // [experts, embedding]
  kExpertsDownScale,    // [experts]: of what each answers
  kRouterScale,         // [embedding]: the weight of the norm that a router has of its own
  kExpertsNorm,         // beside a dense network: what the experts read,
  kPostExpertsNorm,     // what they answer,
  kPostDenseNorm,       // and what the dense network does
  kSharedExpertRouter,  // [1, embedding]: how much of the expert that every token visits it gets
  kSharedExpertGate,
  kSharedExpertUp,
  kSharedExpertDown,

  // Of layers behind the last that predict further tokens (multi-token prediction, DeepSeek-V3
  // 2024).
  kNextTokenProjection,  // [embedding, 2 embedding]
  kNextTokenEmbedding,
  kNextTokenEmbeddingNorm,
  kNextTokenHiddenNorm,
  kNextTokenOutput,
  kNextTokenOutputNorm,

  // Of Medusa heads. A block's number is head * layers + layer, an output's that of its head.
  kMedusaBlock,  // [embedding, embedding]
  kMedusaBlockBias,
  kMedusaOutput,  // [tokens, embedding]; absent where the heads share one, or the model's
  kTokenMap,      // which token of the vocabulary each row of an output stands for
};

}  // namespace tessera
