#include "model/next_tokens.h"

#include <algorithm>

#include "base/assert.h"
#include "base/error.h"
#include "base/printable.h"
#include "model/loader.h"

namespace tessera {
namespace {

Config with_own_layer(const Config& config) {
  if (config.next_token_layers == 0) {
    fail("this model has no layer that predicts further tokens (multi-token prediction)");
  }
  return with_next_token_layer(config);
}

Config with_layer_apart(const Config& config, const Checkpoint& file) {
  const Facts& facts = file.facts();
  const std::string shown = printable(file.paths().at(0).string(), 400);
  const std::string kind = facts.get_string("general.architecture").value_or("");
  if (kind != kDraftLayerArchitecture)
    fail("'{}' holds no EAGLE draft: its architecture is '{}'", shown, printable(kind));
  const std::string base = facts.require_string(kDraftLayerBase);
  const int64_t layers = facts.require_int("block_count"),
                embedding = facts.require_int("embedding_length"),
                vocabulary = facts.require_int("vocab_size");
  if (base != config.architecture->name || layers != static_cast<int64_t>(config.layers.size()) ||
      embedding != config.embedding || vocabulary != config.vocabulary) {
    fail(
        "the draft in '{}' is for a model of '{}' with {} layers of length {} and {} tokens; this "
        "one, of '{}', has {} layers of length {} and {} tokens",
        shown, printable(base), layers, embedding, vocabulary, config.architecture->name,
        config.layers.size(), config.embedding, config.vocabulary);
  }
  return with_next_token_layer(config);
}

}  // namespace

NextTokens::NextTokens(std::shared_ptr<const Checkpoint> checkpoint, Model& model)
    : checkpoint_(std::move(checkpoint)),
      model_(model),
      config_(with_own_layer(model.config())),
      layer_(config_,
             checkpoint_->find({TensorRole::kNextTokenOutputNorm,
                                static_cast<int>(config_.layers.size()) - 1}) != nullptr,
             workspace_) {
  load(*checkpoint_);
  allocate();
}

NextTokens::NextTokens(std::shared_ptr<const Checkpoint> checkpoint, Model& model,
                       std::shared_ptr<const Checkpoint> apart)
    : checkpoint_(std::move(checkpoint)),
      apart_(std::move(apart)),
      model_(model),
      config_(with_layer_apart(model.config(), *apart_)),
      layer_(config_, true, workspace_) {
  load(*apart_);
  allocate();
}

void NextTokens::allocate() {
  Backend& backend = model_.backend();
  for (const Rope& rope : config_.ropes) ropes_.push_back(backend.load_rope(rope));
  workspace_.reserve(Workspace::kTapped, workspace_.widest());
  workspace_.allocate(backend, rows());
  joined_ = backend.allocate(rows(), 2 * config_.embedding);
  residual_ = backend.allocate(rows(), config_.embedding);
  wanted_ = backend.allocate(kWanted, config_.embedding);
  hidden_ = backend.allocate(kWanted, config_.embedding);
  logits_ = backend.allocate(kWanted, output_ != nullptr ? output_->rows : model_.logits());
}

void NextTokens::load(const Checkpoint& file) {
  using enum TensorRole;
  const Loader::Progress no_progress;
  Loader loader(file, model_.backend(), no_progress);
  loader.enter(layer_.number());
  const TensorPlace own{kNextTokenEmbedding, layer_.number()};
  if (file.find(own) != nullptr) {
    embeddings_.emplace(file, loader.take(own, config_.embedding, config_.vocabulary),
                        config_.embedding_scale);
  } else {
    embeddings_.emplace(*checkpoint_, checkpoint_->require({kTokenEmbedding}),
                        config_.embedding_scale);
  }
  layer_.for_each_tensor(loader);
  load_output(loader, file);
  if (apart_ != nullptr) {
    loader.mark_taken({kTokenMap});
    loader.require_all_taken();
  }
  weight_bytes_ = loader.matrix_bytes();
}

void NextTokens::load_output(Loader& loader, const Checkpoint& file) {
  const StoredTensor* stored = file.find({TensorRole::kNextTokenOutput, layer_.number()});
  if (stored == nullptr) return;
  const auto known = static_cast<uint64_t>(config_.vocabulary);
  // The model's own may be cut to its first tokens as the model's matrix is.
  StoredRows rows{TensorRole::kNextTokenOutput, config_.vocabulary, 0, model_.logits()};
  if (apart_ != nullptr) {
    if (stored->rows() > known) {
      fail("tensor '{}' has rows for {} tokens, the model has {}", printable(stored->name),
           stored->rows(), known);
    }
    rows = {TensorRole::kNextTokenOutput, static_cast<int>(stored->rows())};
    map_.emplace(file, rows.rows, config_.vocabulary);
  }
  loader.enter(layer_.number());
  loader.matrix("next token logits", {rows}, config_.embedding, output_);
}

std::unique_ptr<KvStore> NextTokens::make_kv(int blocks) const {
  return model_.backend().allocate_kv(layer_.kv_shape(blocks));
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
  const Tensor joined = joined_.top(count), x = residual_.top(count);
  b.upload(embedded_, joined.slice(0, n));
  b.upload(hidden, joined.slice(n, n));
  const auto prepared = b.prepare({.positions = batch.positions,
                                   .slots = batch.slots,
                                   .contexts = batch.contexts,
                                   .runs = batch.runs});
  const StepAdapters adapters({}, {});
  const Step step(b, workspace_, ropes_, *prepared, kv, adapters, {});
  layer_.forward(step, joined, x);
  Output output;
  if (wanted_rows == 0) return output;
  const Tensor wanted = wanted_.top(wanted_rows), out = hidden_.top(wanted_rows),
               logits = logits_.top(wanted_rows);
  b.gather_rows(x, batch.wanted, wanted);
  layer_.normalize(b, wanted, out);
  if (output_ != nullptr) {
    b.linear(*output_, out, nullptr, logits, {});
    if (config_.final_soft_cap > 0) b.scale_and_cap(1, config_.final_soft_cap, logits);
  } else {
    model_.project(out, logits);
  }
  HostRows told = b.download(logits);
  if (map_) told = map_->spread(told);
  for (int r = 0; r < told.rows; ++r)
    output.logits.insert(output.logits.end(), told.row(r).begin(), told.row(r).end());
  output.hidden = b.download(out);
  return output;
}

}  // namespace tessera
