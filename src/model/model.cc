#include "model/model.h"

#include <algorithm>

#include "base/assert.h"
#include "model/layers/attention.h"
#include "model/layers/feed_forward.h"
#include "model/loader.h"

namespace tessera {

Model::Model(std::shared_ptr<const Checkpoint> checkpoint, std::shared_ptr<Backend> backend,
             Limits limits, const std::function<void(size_t, size_t)>& on_progress,
             Shortcuts shortcuts)
    : checkpoint_(std::move(checkpoint)),
      backend_(std::move(backend)),
      limits_(limits),
      shortcuts_(shortcuts),
      config_(read_config(*checkpoint_, limits.context)) {
  const int layers = static_cast<int>(config_.layers.size());
  for (int i = 0; i < layers; ++i) {
    layers_.push_back({std::make_unique<Attention>(config_, i, workspace_),
                       std::make_unique<FeedForward>(config_, i, workspace_)});
  }
  for (const Rope& rope : config_.ropes) ropes_.push_back(backend_->load_rope(rope));
  load(on_progress);
  residual_ = backend_->allocate(limits_.rows, config_.embedding);
  workspace_.reserve(Workspace::kTapped, workspace_.widest());
  workspace_.allocate(*backend_, limits_.rows);
  wanted_ = backend_->allocate(limits_.wanted_rows, config_.embedding);
  logits_ = backend_->allocate(limits_.wanted_rows, logits());
}

void Model::load(const std::function<void(size_t, size_t)>& on_progress) {
  Loader loader(*checkpoint_, *backend_, on_progress, shortcuts_);
  embeddings_ = &loader.take({TensorRole::kTokenEmbedding}, config_.embedding, config_.vocabulary);
  for_each_tensor(loader);
  for (const TensorRole rope_factors :
       {TensorRole::kRopeFactors, TensorRole::kRopeFactorsLong, TensorRole::kRopeFactorsShort}) {
    loader.mark_taken({rope_factors});  // read_rope has them
  }
  loader.require_all_taken();
  weight_bytes_ = loader.matrix_bytes();
}

void Model::for_each_tensor(TensorVisitor& visit) {
  for (size_t i = 0; i < layers_.size(); ++i) {
    visit.enter(static_cast<int>(i));
    layers_[i].attention->for_each_tensor(visit);
    layers_[i].feed_forward->for_each_tensor(visit);
  }
  visit.enter(kNoLayer);
  visit.vector({TensorRole::kOutputNorm, config_.embedding}, output_norm_);
  const bool tied = checkpoint_->find({TensorRole::kOutput}) == nullptr;
  const TensorRole output = tied ? TensorRole::kTokenEmbedding : TensorRole::kOutput;
  const int logits =
      shortcuts_.logits > 0 ? std::min(shortcuts_.logits, config_.vocabulary) : config_.vocabulary;
  visit.matrix("logits", {{output, config_.vocabulary, 0, logits}}, config_.embedding, output_);
}

int Model::add_adapter(const StoredAdapter& stored) {
  auto adapter = std::make_unique<LoraAdapter>(stored, *backend_);
  for_each_tensor(*adapter);
  adapter->finish();
  adapters_.push_back(std::move(adapter));
  return adapters() - 1;
}

std::unique_ptr<KvStore> Model::make_kv(int blocks, KvFormat format) const {
  KvShape shape = kv_shape(format);
  shape.blocks = blocks;
  return backend_->allocate_kv(shape);
}

size_t Model::kv_block_bytes(KvFormat format) const {
  return backend_->kv_block_bytes(kv_shape(format));
}

KvShape Model::kv_shape(KvFormat format) const {
  KvShape shape{.layers = {}, .blocks = 0, .format = format};
  for (const LayerConfig& layer : config_.layers) {
    shape.layers.push_back({.heads = layer.kv_heads, .head_dim = layer.head_dim});
  }
  return shape;
}

Tensor Model::forward(const Batch& batch, KvStore& kv, std::span<const Tap> taps) {
  TESSERA_ASSERT(batch.rows() <= limits_.rows);
  TESSERA_ASSERT(static_cast<int>(batch.wanted.size()) <= limits_.wanted_rows);
  const auto rows = backend_->prepare(
      {.positions = batch.positions, .slots = batch.slots, .contexts = batch.contexts});
  const StepAdapters adapters(adapters_, batch.adapters);
  const Step step(*backend_, workspace_, ropes_, *rows, kv, adapters, taps);
  const Tensor x = embed(batch);
  for (size_t i = 0; i < layers_.size(); ++i) {
    const int layer = static_cast<int>(i);
    step.show(layer, TapPoint::kLayerInput, x);
    layers_[i].attention->forward(step, x);
    layers_[i].feed_forward->forward(step, x);
    step.show(layer, TapPoint::kLayerOutput, x);
  }
  const Tensor logits = logits_of(x, batch);
  backend_->submit();
  return logits;
}

Tensor Model::logits_of(Tensor x, const Batch& batch) {
  const int count = static_cast<int>(batch.wanted.size());
  const Tensor wanted = wanted_.top(count), logits = logits_.top(count);
  if (count == 0) return logits;
  backend_->gather_rows(x, batch.wanted, wanted);
  backend_->rms_norm(wanted, *output_norm_, config_.norm_epsilon, wanted);
  std::vector<const AdapterMix*> mixes;
  for (const int32_t row : batch.wanted) mixes.push_back(batch.adapters[row]);
  project(wanted, logits, StepAdapters(adapters_, mixes).added_to(*output_));
  return logits;
}

void Model::project(Tensor hidden, Tensor logits, std::span<const LowRankRows> added) {
  backend_->linear(*output_, hidden, nullptr, logits, added);
  if (config_.final_soft_cap > 0) backend_->scale_and_cap(1.0f, config_.final_soft_cap, logits);
}

Tensor Model::hidden_states(int first, int count) {
  const Tensor out = workspace_.take(Workspace::kHidden, count, config_.embedding);
  backend_->rms_norm(residual_.middle(first, count), *output_norm_, config_.norm_epsilon, out);
  return out;
}

Tensor Model::embed(const Batch& batch) {
  const StoredTensor& table = *embeddings_;
  embedded_.resize(static_cast<size_t>(batch.rows()) * config_.embedding);
  for (int r = 0; r < batch.rows(); ++r) {
    const std::span<float> row(embedded_.data() + static_cast<size_t>(r) * config_.embedding,
                               config_.embedding);
    table.decode(static_cast<uint64_t>(batch.tokens[r]), 1, row);
    if (config_.embedding_scale != 1.0f) {
      for (float& value : row) value *= config_.embedding_scale;
    }
  }
  // A row brings its neighbours in the file along: what nobody asks for must not stay.
  constexpr int kRowsKept = 512;
  rows_read_ += batch.rows();
  if (rows_read_ >= kRowsKept) checkpoint_->release(table), rows_read_ = 0;
  const Tensor x = residual_.top(batch.rows());
  backend_->upload(embedded_, x);
  return x;
}

}  // namespace tessera
