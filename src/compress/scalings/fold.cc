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

// What a recurrence reads, behind the layer's norm, and what its output matrix does.
struct RecurrentFolds {
  std::vector<TensorRole> inputs;
  TensorRole output;
  Fold::Divided before_output;
  std::vector<int> source;
  int sources;
};

RecurrentFolds recurrent_folds(const Config& config, const RecurrentConfig& shape) {
  using enum TensorRole;
  const int n = config.embedding, values = shape.values();
  if (shape.kind == RecurrentKind::kShortConvolution) {
    // Of its three parts the second gates what it has made.
    return {{kConvolutionInput}, kConvolutionOutput, {kConvolutionInput, n}, each_its_own(n), n};
  }
  if (shape.kind == RecurrentKind::kStateSpace) {
    return {{kRecurrentInput}, kRecurrentOutput, {kRecurrentNorm}, each_its_own(values), values};
  }
  std::vector<TensorRole> inputs = {kQueryKeyValue, kRecurrentGate};
  if (shape.grouped) {
    inputs.push_back(kRecurrentRateAndStep);
  } else {
    inputs.insert(inputs.end(), {kRecurrentRate, kRecurrentStep});
  }
  std::vector<int> source;  // the heads share a norm
  for (int i = 0; i < values; ++i) source.push_back(i % shape.value_dim);
  return {inputs, kRecurrentOutput, {kRecurrentNorm}, std::move(source), shape.value_dim};
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
  const auto norm = [&](TensorRole weight, TensorRole bias) {
    std::vector<Fold::Divided> divided = {{weight}};
    if (checkpoint.find({bias, layer}) != nullptr) divided.push_back({bias});
    return divided;
  };
  // Latents lie between the matrices of latent attention, and a router reads what experts read.
  // What a recurrence beside attention reads through the same norm would have to be scaled with it.
  const bool recurs = shape.recurrent.kind != RecurrentKind::kNone && !shape.recurrent.beside;
  const bool attends = shape.attends() && shape.latent.key_value == 0 && !shape.recurrent.beside;
  const bool is_dense = shape.experts.count == 0 && width > 0;
  // A norm that both read would have to be divided by the scales of both.
  const bool own_norms = family.pre_norms && !config.shared_norm;
  std::vector<TensorRole> projections = {kQuery, kKey, kValue};
  if (shape.keys_as_values) projections.pop_back();
  std::vector<Fold> folds;
  if (own_norms && recurs) {
    RecurrentFolds recurrent = recurrent_folds(config, shape.recurrent);
    folds.push_back({.inputs = TapPoint::kQkvInput,
                     .matrices = recurrent.inputs,
                     .divided = norm(kAttentionNorm, kAttentionNormBias),
                     .source = each_its_own(n),
                     .sources = n});
    folds.push_back({.inputs = *input_of(recurrent.output),
                     .matrices = {recurrent.output},
                     .divided = {recurrent.before_output},
                     .source = std::move(recurrent.source),
                     .sources = recurrent.sources});
  }
  if (own_norms && attends) {
    folds.push_back({.inputs = TapPoint::kQkvInput,
                     .matrices = fused(shape.fused_qkv, kQueryKeyValue, projections),
                     .divided = norm(config.attention_norm.weight, config.attention_norm.bias),
                     .source = each_its_own(n),
                     .sources = n});
  }
  const int first = shape.fused_qkv ? shape.q_columns() + kv : 0;
  std::vector<Fold::Divided> values = {{shape.fused_qkv ? kQueryKeyValue : kValue, first}};
  const TensorRole bias = shape.fused_qkv ? kQueryKeyValueBias : kValueBias;
  if (checkpoint.find({bias, layer}) != nullptr) values.push_back({bias, first});
  if (attends && !family.value_norm) {  // which would undo it
    folds.push_back({.inputs = TapPoint::kOutputInput,
                     .matrices = {kAttentionOutput},
                     .divided = values,
                     .source = value_rows(shape),
                     .sources = kv});
  }
  if (own_norms && is_dense) {
    std::vector<TensorRole> matrices = {kGate, kUp};
    if (family.fused_gate_up || !family.gated) matrices = {kUp};
    folds.push_back(
        {.inputs = TapPoint::kGateUpInput,
         .matrices = matrices,
         .divided = norm(config.feed_forward_norm.weight, config.feed_forward_norm.bias),
         .source = each_its_own(n),
         .sources = n});
  }
  // Without a gate an activation lies between up and down, which is not linear.
  if (family.gated && is_dense) {
    folds.push_back({.inputs = TapPoint::kDownInput,
                     .matrices = {kDown},
                     .divided = {{kUp, family.fused_gate_up ? width : 0}},
                     .source = each_its_own(width),
                     .sources = width});
  }
  return folds;
}

}  // namespace tessera
