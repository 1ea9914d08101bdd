// Which roles are those of a norm's weights, and which are not worth compressing.
#pragma once

#include <algorithm>
#include <iterator>

#include "checkpoint/tensor_role.h"

namespace tessera {

inline bool is_norm(TensorRole role) {
  using enum TensorRole;
  constexpr TensorRole kNorms[] = {kEmbeddingNorm,
                                   kOutputNorm,
                                   kAttentionNorm,
                                   kAttentionNorm2,
                                   kQueryNorm,
                                   kKeyNorm,
                                   kPostAttentionNorm,
                                   kAttentionOutputNorm,
                                   kLayerOutputNorm,
                                   kQueryDownNorm,
                                   kKeyValueDownNorm,
                                   kRecurrentNorm,
                                   kFeedForwardNorm,
                                   kPostFeedForwardNorm,
                                   kPerLayerProjectionNorm,
                                   kPerLayerNorm,
                                   kExpertsNorm,
                                   kPostExpertsNorm,
                                   kPostDenseNorm,
                                   kNextTokenEmbeddingNorm,
                                   kNextTokenHiddenNorm,
                                   kNextTokenOutputNorm};
  return std::find(std::begin(kNorms), std::end(kNorms), role) != std::end(kNorms);
}

// No matrix worth compressing: see TensorRole::kDelicate.
inline bool is_delicate(TensorRole role) {
  using enum TensorRole;
  constexpr TensorRole kAll[] = {kDelicate,
                                 kRouter,
                                 kSharedExpertRouter,
                                 kPositionEmbedding,
                                 kRecurrentFilter,
                                 kConvolutionFilter,
                                 kRecurrentDecay,
                                 kRecurrentSkip,
                                 kRecurrentNorm,
                                 kTokenTypeEmbedding,
                                 kPerLayerModelProjection};
  return std::find(std::begin(kAll), std::end(kAll), role) != std::end(kAll);
}

}  // namespace tessera
