#include "model/model.h"

#include <algorithm>

#include "base/assert.h"
#include "base/error.h"
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
  for (int i = 0; i < layers; ++i) layers_.emplace_back(config_, i, workspace_);
  for (const Rope& rope : config_.ropes) ropes_.push_back(backend_->load_rope(rope));
  if (config_.per_layer_input > 0) per_layer_inputs_.emplace(config_, workspace_);
  load(on_progress);
  most_rows_ = config_.bidirectional ? std::max(limits_.rows, config_.context) : limits_.rows;
  residual_ = backend_->allocate(most_rows_, config_.embedding);
  workspace_.reserve(Workspace::kTapped, workspace_.widest());
  workspace_.allocate(*backend_, most_rows_);
  pooled_dense_.allocate(*backend_);
  wanted_ = backend_->allocate(limits_.wanted_rows, config_.embedding);
  logits_ = backend_->allocate(limits_.wanted_rows, std::max(1, logits()));
}

void Model::load(const std::function<void(size_t, size_t)>& on_progress) {
  Loader loader(*checkpoint_, *backend_, on_progress, shortcuts_);
  embeddings_.emplace(
      *checkpoint_,
      loader.take({TensorRole::kTokenEmbedding}, config_.embedding, config_.vocabulary),
      config_.embedding_scale);
  if (config_.learned_positions > 0)
    positions_.emplace(
        *checkpoint_,
        loader.take({TensorRole::kPositionEmbedding}, config_.embedding, config_.learned_positions),
        1.0f);
  if (const StoredTensor* types = checkpoint_->find({TensorRole::kTokenTypeEmbedding});
      types != nullptr && config_.architecture->token_types)
    token_types_.emplace(*checkpoint_,
                         loader.take({TensorRole::kTokenTypeEmbedding}, config_.embedding,
                                     static_cast<int64_t>(types->rows())),
                         1.0f);
  if (per_layer_inputs_) {
    per_layer_inputs_->set_table(
        *checkpoint_, loader.take({TensorRole::kPerLayerEmbedding}, per_layer_inputs_->columns(),
                                  config_.vocabulary));
  }
  for_each_tensor(loader);
  mark_unused(loader);
  loader.require_all_taken();
  weight_bytes_ = loader.matrix_bytes();
}

// Tensors that others read, or that nobody needs to.
void Model::mark_unused(Loader& loader) const {
  for (const TensorRole rope_factors :
       {TensorRole::kRopeFactors, TensorRole::kRopeFactorsLong, TensorRole::kRopeFactorsShort}) {
    loader.mark_taken({rope_factors});  // read_rope has them
  }
  if (config_.bidirectional) {
    for (const TensorRole unused : {TensorRole::kOutput, TensorRole::kOutputBias})
      loader.mark_taken({unused});
  }
  const int layers = static_cast<int>(layers_.size());
  for (int layer = 0; layer < layers; ++layer) {
    if (!config_.layers[static_cast<size_t>(layer)].shares_kv) continue;
    // Published checkpoints hold what such a layer was trained from.
    for (const TensorRole role : {TensorRole::kKey, TensorRole::kValue, TensorRole::kKeyNorm})
      loader.mark_taken({role, layer});
  }
  for (const StoredTensor& tensor : checkpoint_->tensors()) {
    const int layer = tensor.place.layer;
    if (layer < layers || layer >= layers + config_.next_token_layers) continue;
    checkpoint_->require({TensorRole::kNextTokenProjection, layer});  // or it is an ordinary layer
    loader.mark_taken(tensor.place);
  }
}

void Model::for_each_tensor(TensorVisitor& visit) {
  using enum TensorRole;
  visit.enter(kNoLayer);
  if (config_.architecture->embedding_norm)
    embedding_norm_.tell(visit, config_, kEmbeddingNorm, kEmbeddingNormBias, config_.embedding);
  if (per_layer_inputs_) per_layer_inputs_->for_each_tensor(visit);
  for (Layer& layer : layers_) layer.for_each_tensor(visit);
  visit.enter(kNoLayer);
  if (config_.architecture->final_norm)
    output_norm_.tell(visit, config_, config_.architecture->output_norm, kOutputNormBias,
                      config_.embedding);
  pooled_dense_.for_each_tensor(visit, config_);
  if (config_.bidirectional) return;
  const bool tied = checkpoint_->find({kOutput}) == nullptr;
  const TensorRole output = tied ? kTokenEmbedding : kOutput;
  const int logits =
      shortcuts_.logits > 0 ? std::min(shortcuts_.logits, config_.vocabulary) : config_.vocabulary;
  visit.matrix("logits", {{output, config_.vocabulary, 0, logits}}, config_.embedding, output_);
  visit.vector({{kOutputBias, config_.vocabulary, 0, logits}}, TensorVisitor::Presence::kOptional,
               output_bias_);
}

int Model::add_adapter(const StoredAdapter& stored) {
  auto adapter = std::make_unique<LoraAdapter>(stored, *backend_);
  for_each_tensor(*adapter);
  adapter->finish();
  adapters_.push_back(std::move(adapter));
  return adapters() - 1;
}

std::unique_ptr<KvStore> Model::make_kv(int blocks, KvFormat format, int states) const {
  KvShape shape = kv_shape(config_, format);
  shape.blocks = blocks;
  shape.states = states;
  shape.rows = limits_.rows;
  return backend_->allocate_kv(shape);
}

size_t Model::kv_block_bytes(KvFormat format) const {
  return backend_->kv_block_bytes(kv_shape(config_, format));
}

size_t Model::state_bytes() const {
  return kv_shape(config_, KvFormat::kF16).state_values() * sizeof(float);
}

void Model::keep_states(KvStore& kv, std::span<const StatePath> paths) {
  if (!paths.empty()) backend_->keep_states(kv, paths);
}

Tensor Model::forward(const Batch& batch, KvStore& kv, std::span<const Tap> taps) {
  TESSERA_ASSERT(batch.rows() <= most_rows_);
  if (!batch.wanted.empty()) require_logits();
  TESSERA_ASSERT(static_cast<int>(batch.wanted.size()) <= limits_.wanted_rows);
  const auto rows = backend_->prepare({.positions = batch.positions,
                                       .slots = batch.slots,
                                       .contexts = batch.contexts,
                                       .runs = batch.runs});
  const StepAdapters adapters(adapters_, batch.adapters);
  const Step step(*backend_, workspace_, ropes_, *rows, kv, adapters, taps);
  const Tensor x = embed(batch);
  if (per_layer_inputs_) per_layer_inputs_->compute(step, batch.tokens, x);
  for (const Layer& layer : layers_) layer.forward(step, x);
  const Tensor logits = logits_of(x, batch);
  backend_->submit();
  return logits;
}

void Model::require_logits() const {
  if (output_ == nullptr)
    fail("a model of '{}' embeds texts (POST /v1/embeddings), it does not generate or score any",
         config_.architecture->name);
}

Tensor Model::logits_of(Tensor x, const Batch& batch) {
  const int count = static_cast<int>(batch.wanted.size());
  const Tensor wanted = wanted_.top(count), logits = logits_.top(count);
  if (count == 0) return logits;
  backend_->gather_rows(x, batch.wanted, wanted);
  output_norm_.apply(*backend_, config_, wanted, wanted);
  std::vector<const AdapterMix*> mixes;
  for (const int32_t row : batch.wanted) mixes.push_back(batch.adapters[row]);
  project(wanted, logits, StepAdapters(adapters_, mixes).added_to(*output_));
  return logits;
}

void Model::project(Tensor hidden, Tensor logits, std::span<const LowRankRows> added) {
  backend_->linear(*output_, hidden, output_bias_.get(), logits, added);
  if (config_.final_soft_cap > 0 || config_.logit_scale != 1)
    backend_->scale_and_cap(config_.logit_scale, config_.final_soft_cap, logits);
}

Tensor Model::hidden_states(int first, int count) {
  if (!output_norm_) return residual_.middle(first, count);
  const Tensor out = workspace_.take(Workspace::kHidden, count, config_.embedding);
  output_norm_.apply(*backend_, config_, residual_.middle(first, count), out);
  return out;
}

Tensor Model::embed(const Batch& batch) {
  embedded_.resize(static_cast<size_t>(batch.rows()) * config_.embedding);
  embeddings_->read(batch.tokens, embedded_);
  if (positions_) positions_->add(batch.positions, embedded_);
  if (token_types_) token_types_->add(std::vector<int32_t>(batch.tokens.size(), 0), embedded_);
  const Tensor x = residual_.top(batch.rows());
  backend_->upload(embedded_, x);
  if (embedding_norm_) embedding_norm_.apply(*backend_, config_, x, x);
  return x;
}

}  // namespace tessera
