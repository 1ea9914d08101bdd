#include "model/layers/per_layer_input.h"

#include <algorithm>
#include <cmath>
#include <functional>

namespace tessera {

PerLayerInputs::PerLayerInputs(const Config& config, Workspace& workspace) : config_(config) {
  workspace.reserve(Workspace::kPerLayer, columns());
  workspace.reserve(Workspace::kPerLayerTokens, columns());
}

int PerLayerInputs::columns() const {
  return config_.per_layer_input * static_cast<int>(config_.layers.size());
}

void PerLayerInputs::set_table(const Checkpoint& checkpoint, const StoredTensor& table) {
  table_.emplace(checkpoint, table, std::sqrt(static_cast<float>(config_.per_layer_input)));
}

void PerLayerInputs::for_each_tensor(TensorVisitor& visit) {
  using enum TensorRole;
  visit.matrix("per-layer inputs", {{kPerLayerModelProjection, columns()}}, config_.embedding,
               projection_);
  norm_.tell(visit, kPerLayerProjectionNorm, config_.per_layer_input);
}

void PerLayerInputs::compute(const Step& step, std::span<const Token> tokens, Tensor x) {
  Backend& b = step.backend;
  const Tensor inputs = step.take(Workspace::kPerLayer, columns()),
               of_tokens = step.take(Workspace::kPerLayerTokens, columns());
  step.linear(*projection_, x, nullptr, inputs);
  b.scale_and_cap(1 / std::sqrt(static_cast<float>(config_.embedding)), 0, inputs);
  norm_.apply(b, config_, inputs, inputs);
  rows_.resize(tokens.size() * static_cast<size_t>(columns()));
  table_->read(tokens, rows_);
  b.upload(rows_, of_tokens);
  b.add(of_tokens, inputs);
  b.scale_and_cap(std::sqrt(0.5f), 0, inputs);
}

PerLayerInput::PerLayerInput(const Config& config, int layer, Workspace& workspace)
    : config_(config), layer_(layer) {
  workspace.reserve(Workspace::kHidden, config.embedding);
  workspace.reserve(Workspace::kGated, config.per_layer_input);
}

void PerLayerInput::for_each_tensor(TensorVisitor& visit) {
  using enum TensorRole;
  const int n = config_.per_layer_input;
  visit.matrix("per-layer gate", {{kPerLayerGate, n}}, config_.embedding, gate_);
  visit.matrix("per-layer output", {{kPerLayerProjection, config_.embedding}}, n, output_);
  norm_.tell(visit, kPerLayerNorm, config_.embedding);
}

void PerLayerInput::forward(const Step& step, Tensor x) const {
  Backend& b = step.backend;
  const int n = config_.per_layer_input, layers = static_cast<int>(config_.layers.size());
  const Tensor gated = step.take(Workspace::kGated, n),
               inputs = step.take(Workspace::kPerLayer, layers * n).slice(layer_ * n, n),
               h = step.take(Workspace::kHidden, config_.embedding);
  step.linear(*gate_, x, nullptr, gated);
  b.activate(config_.architecture->activation, gated);
  const Tensor both[] = {gated, inputs};
  b.on_host(both, gated, [](std::span<const HostRows> values, HostTensor out) {
    for (int r = 0; r < out.rows; ++r)
      std::ranges::transform(values[0].row(r), values[1].row(r), out.row(r), std::multiplies<>());
  });
  step.linear(*output_, gated, nullptr, h);
  norm_.apply(b, config_, h, h);
  b.add(h, x);
}

}  // namespace tessera
