#include "model/layer_by_layer.h"

#include <algorithm>
#include <numeric>

#include "base/assert.h"
#include "base/error.h"
#include "model/batch.h"

namespace tessera {

LayerByLayer::LayerByLayer(std::shared_ptr<const Checkpoint> checkpoint,
                           std::shared_ptr<Backend> backend, int rows, int texts)
    : checkpoint_(std::move(checkpoint)),
      backend_(std::move(backend)),
      config_(read_config(*checkpoint_)) {
  if (rows > config_.context)
    fail("a text of {} tokens does not fit the model's context of {}", rows, config_.context);
  if (config_.bidirectional)
    fail("calibration on a text is not supported for models of '{}', which embed texts",
         config_.architecture->name);
  Loader loader(*checkpoint_, *backend_, {});
  embeddings_.emplace(
      *checkpoint_,
      loader.take({TensorRole::kTokenEmbedding}, config_.embedding, config_.vocabulary),
      config_.embedding_scale);
  if (config_.learned_positions > 0)
    positions_.emplace(
        *checkpoint_,
        loader.take({TensorRole::kPositionEmbedding}, config_.embedding, config_.learned_positions),
        1.0f);
  if (config_.architecture->embedding_norm)
    embedding_norm_.tell(loader, config_, TensorRole::kEmbeddingNorm,
                         TensorRole::kEmbeddingNormBias, config_.embedding);
  for (int i = 0; i < layers(); ++i) Layer(config_, i, workspace_);  // each reserves what it needs
  if (config_.per_layer_input > 0) {
    per_layer_inputs_.emplace(config_, workspace_);
    per_layer_inputs_->set_table(
        *checkpoint_, loader.take({TensorRole::kPerLayerEmbedding}, per_layer_inputs_->columns(),
                                  config_.vocabulary));
    per_layer_inputs_->for_each_tensor(loader);
  }
  workspace_.reserve(Workspace::kTapped, workspace_.widest());
  workspace_.allocate(*backend_, rows);
  for (const Rope& rope : config_.ropes) ropes_.push_back(backend_->load_rope(rope));
  residual_ = backend_->allocate(rows, config_.embedding);
  const int told_apart = config_.layers.back().shares_kv ? texts : 1;
  for (int text = 0; text < told_apart; ++text) {
    auto& table = block_tables_.emplace_back(blocks_for(rows));
    std::iota(table.begin(), table.end(), text * blocks_for(rows));
  }
  KvShape shape = kv_shape(config_, KvFormat::kF16);
  shape.blocks = told_apart * blocks_for(rows);
  kv_ = backend_->allocate_kv(shape);
}

void LayerByLayer::embed(std::span<const Token> tokens, std::span<float> x,
                         const StoredTensor* instead) {
  if (instead == nullptr) return embeddings_->read(tokens, x);
  EmbeddingTable(*checkpoint_, *instead, config_.embedding_scale).read(tokens, x);
}

void LayerByLayer::load(int layer, const Loader::Instead& instead) {
  layer_.reset();  // two need not be in memory at once
  layer_.emplace(config_, layer, workspace_);
  loaded_ = layer;
  Loader loader(*checkpoint_, *backend_, {}, {}, instead);
  layer_->for_each_tensor(loader);
}

// Does a later layer read this one's keys and values, or this one those of an earlier layer?
bool LayerByLayer::shares_kv(int layer) const {
  const int kept = config_.layers[static_cast<size_t>(layer)].kv_layer;
  return std::ranges::any_of(config_.layers, [&](const LayerConfig& other) {
    return other.shares_kv && other.kv_layer == kept;
  });
}

void LayerByLayer::read_text(const Step& step, std::span<const Token> tokens, Tensor residual) {
  std::vector<float> embedded(tokens.size() * static_cast<size_t>(config_.embedding));
  embeddings_->read(tokens, embedded);
  backend_->upload(embedded, residual);
  per_layer_inputs_->compute(step, tokens, residual);
}

void LayerByLayer::forward(std::span<float> x, const Text& text, std::span<const Tap> taps) {
  const auto rows = x.size() / static_cast<size_t>(config_.embedding);
  TESSERA_ASSERT(layer_ && static_cast<int>(rows) <= residual_.rows);
  if (reads_text() && text.tokens.size() != rows)
    fail("layers of this model read more than what the one before has made, which is not kept");
  // Only what is shared is kept of each text; all others have the memory of the first.
  const auto& table =
      block_tables_[shares_kv(loaded_) ? static_cast<size_t>(text.number) : size_t{0}];
  Batch batch;  // its tokens are in x already
  batch.add_chain(std::vector<Token>(rows), 0, table);
  const auto prepared = backend_->prepare({.positions = batch.positions,
                                           .slots = batch.slots,
                                           .contexts = batch.contexts,
                                           .runs = batch.runs});
  const StepAdapters adapters({}, {});
  const Step step(*backend_, workspace_, ropes_, *prepared, *kv_, adapters, taps);
  const Tensor residual = residual_.top(static_cast<int>(rows));
  if (per_layer_inputs_) read_text(step, text.tokens, residual);
  if (loaded_ == 0 && positions_) positions_->add(batch.positions, x);
  backend_->upload(x, residual);
  if (loaded_ == 0 && embedding_norm_)
    embedding_norm_.apply(*backend_, config_, residual, residual);
  layer_->forward(step, residual);
  const HostRows out = backend_->download(residual);
  for (int r = 0; r < out.rows; ++r) {
    std::ranges::copy(out.row(r), x.begin() + static_cast<ptrdiff_t>(r) * config_.embedding);
  }
}

void LayerByLayer::load_output(const Loader::Instead& instead) {
  output_.reset();
  Loader loader(*checkpoint_, *backend_, {}, {}, instead);
  loader.enter(kNoLayer);
  output_norm_.tell(loader, config_, config_.architecture->output_norm, TensorRole::kOutputNormBias,
                    config_.embedding);
  const bool tied = checkpoint_->find({TensorRole::kOutput}) == nullptr;
  const TensorRole role = tied ? TensorRole::kTokenEmbedding : TensorRole::kOutput;
  loader.matrix("logits", {{role, config_.vocabulary}}, config_.embedding, output_);
  loader.vector({{TensorRole::kOutputBias, config_.vocabulary}}, TensorVisitor::Presence::kOptional,
                output_bias_);
  if (logits_.rows > 0) return;
  normalized_ = backend_->allocate(kLogitRows, config_.embedding);
  logits_ = backend_->allocate(kLogitRows, config_.vocabulary);
}

HostRows LayerByLayer::logits(std::span<const float> x) {
  const auto rows = static_cast<int>(x.size() / static_cast<size_t>(config_.embedding));
  TESSERA_ASSERT(output_ && rows <= kLogitRows);
  const Tensor hidden = normalized_.top(rows), out = logits_.top(rows);
  backend_->upload(x, hidden);
  output_norm_.apply(*backend_, config_, hidden, hidden);
  backend_->linear(*output_, hidden, output_bias_.get(), out, {});
  if (config_.final_soft_cap > 0 || config_.logit_scale != 1)
    backend_->scale_and_cap(config_.logit_scale, config_.final_soft_cap, out);
  return backend_->download(out);
}

}  // namespace tessera
