#include "compress/scalings/fold.h"

#include <numeric>
#include <utility>

namespace tessera {
namespace {

std::vector<int> each_its_own(int channels) {
  std::vector<int> source(static_cast<size_t>(channels));
  std::iota(source.begin(), source.end(), 0);
  return source;
}

// Channels of attention's output: query heads, of which several may read one value head.
std::vector<int> value_rows(const LayerConfig& layer) {
  std::vector<int> source;
  for (int head = 0; head < layer.heads; ++head) {
    const int value_head = head / (layer.heads / layer.kv_heads);
    for (int i = 0; i < layer.head_dim; ++i) source.push_back(value_head * layer.head_dim + i);
  }
  return source;
}

}  // namespace

std::vector<float> Fold::spread(const std::vector<float>& scales) const {
  std::vector<float> spread;
  spread.reserve(source.size());
  for (const int element : source) spread.push_back(scales[static_cast<size_t>(element)]);
  return spread;
}

std::vector<Fold> folds_of(const Checkpoint& checkpoint, const Config& config, int layer) {
  using enum TensorRole;
  const Architecture& family = *config.architecture;
  const LayerConfig& shape = config.layers[static_cast<size_t>(layer)];
  const int n = config.embedding, kv = shape.kv_columns(), width = shape.feed_forward;
  const auto fused = [](bool is_fused, TensorRole all, std::vector<TensorRole> apart) {
    return is_fused ? std::vector{all} : std::move(apart);
  };
  std::vector<Fold> folds = {
      {.inputs = TapPoint::kQkvInput,
       .matrices = fused(family.fused_qkv, kQueryKeyValue, {kQuery, kKey, kValue}),
       .divided = {{kAttentionNorm}},
       .source = each_its_own(n),
       .sources = n},
      {.inputs = TapPoint::kOutputInput,
       .matrices = {kAttentionOutput},
       .divided = {},
       .source = value_rows(shape),
       .sources = kv},
      {.inputs = TapPoint::kGateUpInput,
       .matrices = fused(family.fused_gate_up, kUp, {kGate, kUp}),
       .divided = {{kFeedForwardNorm}},
       .source = each_its_own(n),
       .sources = n},
      {.inputs = TapPoint::kDownInput,
       .matrices = {kDown},
       .divided = {{kUp, family.fused_gate_up ? width : 0}},
       .source = each_its_own(width),
       .sources = width},
  };
  auto& values = folds[1].divided;
  const int first = family.fused_qkv ? shape.q_columns() + kv : 0;
  values.push_back({family.fused_qkv ? kQueryKeyValue : kValue, first});
  const TensorRole bias = family.fused_qkv ? kQueryKeyValueBias : kValueBias;
  if (checkpoint.find({bias, layer}) != nullptr) values.push_back({bias, first});
  return folds;
}

}  // namespace tessera
