#include "model/next_token_layer.h"

#include <algorithm>

#include "base/error.h"

namespace tessera {

Config with_next_token_layer(const Config& config) {
  if (config.architecture->single_parts) {
    fail("layers for further tokens of models of '{}' are not supported",
         config.architecture->name);
  }
  Config longer = config;
  const auto attends = [](const LayerConfig& layer) { return layer.attends(); };
  const auto last = std::find_if(longer.layers.rbegin(), longer.layers.rend(), attends);
  if (last == longer.layers.rend()) fail("no layer of this model attends");
  LayerConfig next = *last;
  next.experts = config.layers.back().experts;
  next.feed_forward = config.layers.back().feed_forward;
  next.kv_layer = static_cast<int>(longer.layers.size());
  longer.layers.push_back(next);
  return longer;
}

NextTokenLayer::NextTokenLayer(const Config& config, bool own_norm, Workspace& workspace)
    : config_(config),
      number_(static_cast<int>(config.layers.size()) - 1),
      own_norm_(own_norm),
      layer_(config, number_, workspace) {}

KvShape NextTokenLayer::kv_shape(int blocks) const {
  KvShape shape;
  shape.layers.resize(static_cast<size_t>(number_));
  const LayerConfig& layer = config_.layers.back();
  shape.layers.push_back({.heads = layer.kv_heads, .head_dim = layer.head_dim});
  shape.blocks = blocks;
  return shape;
}

void NextTokenLayer::for_each_tensor(TensorVisitor& visit) {
  using enum TensorRole;
  const int n = config_.embedding;
  visit.enter(number_);
  embedding_norm_.tell(visit, kNextTokenEmbeddingNorm, n);
  hidden_norm_.tell(visit, kNextTokenHiddenNorm, n);
  visit.matrix("next token", {{kNextTokenProjection, n}}, 2 * n, projection_);
  layer_.for_each_tensor(visit);
  visit.enter(own_norm_ ? number_ : kNoLayer);
  output_norm_.tell(visit, own_norm_ ? kNextTokenOutputNorm : config_.architecture->output_norm, n);
}

void NextTokenLayer::forward(const Step& step, Tensor joined, Tensor x) const {
  const int n = config_.embedding;
  const Tensor tokens = joined.slice(0, n), states = joined.slice(n, n);
  embedding_norm_.apply(step.backend, config_, tokens, tokens);
  hidden_norm_.apply(step.backend, config_, states, states);
  step.linear(*projection_, joined, nullptr, x);
  layer_.forward(step, x);
}

}  // namespace tessera
