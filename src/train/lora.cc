#include "train/lora.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"
#include "decode/random.h"

namespace tessera::train {
namespace {

constexpr std::array kMatrices = {
    TensorRole::kQuery,           TensorRole::kKey,  TensorRole::kValue, TensorRole::kQueryKeyValue,
    TensorRole::kAttentionOutput, TensorRole::kGate, TensorRole::kUp,    TensorRole::kDown};

// Even in [-1, 1), by what it is for.
float drawn(uint64_t seed, TensorPlace place, size_t index) {
  const auto words = philox({static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32),
                             static_cast<uint32_t>(place.role), static_cast<uint32_t>(place.layer)},
                            seed);
  return static_cast<float>(words[0] >> 8) / 8388608.0f - 1;
}

}  // namespace

Learned make_lora(const Checkpoint& model, const LoraOptions& options) {
  Learned learned;
  for (const StoredTensor& tensor : model.tensors()) {
    const std::span<const TensorRole> roles =
        options.roles.empty() ? std::span<const TensorRole>(kMatrices) : options.roles;
    if (std::ranges::find(roles, tensor.place.role) == roles.end()) continue;
    const int rows = static_cast<int>(tensor.rows()), columns = static_cast<int>(tensor.columns());
    if (options.rank < 1 || options.rank > std::min(rows, columns)) {
      fail("a rank of {} does not fit tensor '{}', expected 1 to {}", options.rank, tensor.name,
           std::min(rows, columns));
    }
    LowRankPair& pair = learned.low_rank[tensor.place];
    pair.down = Parameter(tensor.name + ".lora_a", options.rank, columns);
    pair.up = Parameter(tensor.name + ".lora_b", rows, options.rank);
    pair.scale = static_cast<float>(options.alpha / options.rank);
    const float bound = 1 / std::sqrt(static_cast<float>(columns));
    for (size_t i = 0; i < pair.down.values.size(); ++i)
      pair.down.values[i] = bound * drawn(options.seed, tensor.place, i);
  }
  if (learned.low_rank.empty()) fail("the model has no matrix that an adapter is made for");
  return learned;
}

StoredAdapter stored_adapter(const Learned& learned) {
  StoredAdapter adapter;
  for (const auto& [place, pair] : learned.low_rank) {
    adapter.matrices.push_back(
        {stored_tensor(pair.down, place), stored_tensor(pair.up, place), pair.scale});
  }
  return adapter;
}

}  // namespace tessera::train
