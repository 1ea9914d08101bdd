#include "model/next_tokens.h"

#include <algorithm>

#include "base/assert.h"
#include "base/error.h"
#include "model/loader.h"

namespace tessera {
namespace {

// The model's configuration with a layer more, which is as its last one that attends.
Config with_next_layer(const Config& config) {
  if (config.next_token_layers == 0) {
    fail("this model has no layer that predicts further tokens (multi-token prediction)");
  }
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

}  // namespace

NextTokens::NextTokens(std::shared_ptr<const Checkpoint> checkpoint, Model& model)
    : checkpoint_(std::move(checkpoint)),
      model_(model),
      config_(with_next_layer(model.config())),
      number_(static_cast<int>(config_.layers.size()) - 1) {
  Backend& backend = model_.backend();
  layer_.emplace(config_, number_, workspace_);
  for (const Rope& rope : config_.ropes) ropes_.push_back(backend.load_rope(rope));
  load();
  workspace_.reserve(Workspace::kTapped, workspace_.widest());
  workspace_.allocate(backend, rows());
  joined_ = backend.allocate(rows(), 2 * config_.embedding);
  residual_ = backend.allocate(rows(), config_.embedding);
  wanted_ = backend.allocate(kWanted, config_.embedding);
  hidden_ = backend.allocate(kWanted, config_.embedding);
  logits_ = backend.allocate(kWanted, model_.logits());
}

void NextTokens::load() {
  using enum TensorRole;
  const int n = config_.embedding;
  Loader loader(*checkpoint_, model_.backend(), {});
  loader.enter(number_);
  const bool has_table = checkpoint_->find({kNextTokenEmbedding, number_}) != nullptr;
  embeddings_.emplace(*checkpoint_,
                      loader.take(has_table ? TensorPlace{kNextTokenEmbedding, number_}
                                            : TensorPlace{kTokenEmbedding},
                                  n, config_.vocabulary),
                      config_.embedding_scale);
  embedding_norm_.tell(loader, kNextTokenEmbeddingNorm, n);
  hidden_norm_.tell(loader, kNextTokenHiddenNorm, n);
  loader.matrix("next token", {{kNextTokenProjection, n}}, 2 * n, projection_);
  layer_->for_each_tensor(loader);
  loader.enter(number_);
  if (checkpoint_->find({kNextTokenOutputNorm, number_}) != nullptr) {
    output_norm_.tell(loader, kNextTokenOutputNorm, n);
  } else {
    loader.enter(kNoLayer);
    output_norm_.tell(loader, config_.architecture->output_norm, n);
  }
  if (checkpoint_->find({kNextTokenOutput, number_}) != nullptr) {
    loader.enter(number_);
    loader.matrix("next token logits", {{kNextTokenOutput, config_.vocabulary, 0, model_.logits()}},
                  n, output_);
  }
  weight_bytes_ = loader.matrix_bytes();
}

std::unique_ptr<KvStore> NextTokens::make_kv(int blocks) const {
  KvShape shape;
  shape.layers.resize(static_cast<size_t>(number_));  // the model's own keep theirs
  const LayerConfig& layer = config_.layers.back();
  shape.layers.push_back({.heads = layer.kv_heads, .head_dim = layer.head_dim});
  shape.blocks = blocks;
  return model_.backend().allocate_kv(shape);
}

NextTokens::Output NextTokens::forward(const Batch& batch, std::span<const float> hidden,
                                       KvStore& kv) {
  Backend& b = model_.backend();
  const int n = config_.embedding, count = batch.rows();
  const int wanted_rows = static_cast<int>(batch.wanted.size());
  TESSERA_ASSERT(count <= rows() && wanted_rows <= kWanted);
  TESSERA_ASSERT(hidden.size() == static_cast<size_t>(count) * static_cast<size_t>(n));
  embedded_.resize(hidden.size());
  embeddings_->read(batch.tokens, embedded_);
  const Tensor joined = joined_.top(count), tokens = joined.slice(0, n),
               states = joined.slice(n, n), x = residual_.top(count);
  b.upload(embedded_, tokens);
  b.upload(hidden, states);
  embedding_norm_.apply(b, config_, tokens, tokens);
  hidden_norm_.apply(b, config_, states, states);
  const auto prepared = b.prepare({.positions = batch.positions,
                                   .slots = batch.slots,
                                   .contexts = batch.contexts,
                                   .runs = batch.runs});
  const StepAdapters adapters({}, {});
  const Step step(b, workspace_, ropes_, *prepared, kv, adapters, {});
  step.linear(*projection_, joined, nullptr, x);
  layer_->forward(step, x);
  Output output;
  if (wanted_rows == 0) return output;
  const Tensor wanted = wanted_.top(wanted_rows), out = hidden_.top(wanted_rows),
               logits = logits_.top(wanted_rows);
  b.gather_rows(x, batch.wanted, wanted);
  output_norm_.apply(b, config_, wanted, out);
  if (output_ != nullptr) {
    b.linear(*output_, out, nullptr, logits, {});
  } else {
    model_.project(out, logits);
  }
  const HostRows told = b.download(logits);
  for (int r = 0; r < told.rows; ++r)
    output.logits.insert(output.logits.end(), told.row(r).begin(), told.row(r).end());
  output.hidden = b.download(out);
  return output;
}

}  // namespace tessera
