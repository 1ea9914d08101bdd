// Which roles are those of a norm's weights.
#pragma once

#include <algorithm>
#include <iterator>

#include "checkpoint/tensor_role.h"

namespace tessera {

inline bool is_norm(TensorRole role) {
  using enum TensorRole;
  constexpr TensorRole kNorms[] = {
      kEmbeddingNorm, kOutputNorm,        kAttentionNorm,   kQueryNorm,
      kKeyNorm,       kPostAttentionNorm, kFeedForwardNorm, kPostFeedForwardNorm};
  return std::find(std::begin(kNorms), std::end(kNorms), role) != std::end(kNorms);
}

}  // namespace tessera
