#include "train/network.h"

#include <algorithm>
#include <numeric>

#include "base/assert.h"
#include "base/error.h"
#include "model/batch.h"
#include "train/operations/embedding.h"
#include "train/row_ranges.h"

namespace tessera::train {
namespace {

constexpr int kLogits = 8 << 20;  // that are in memory at a time

bool has_head_norms(const Checkpoint& model, const Config& config) {
  if (!config.architecture->may_have_head_norms) return false;
  return std::ranges::any_of(model.tensors(), [](const StoredTensor& tensor) {
    return tensor.place.role == TensorRole::kQueryNorm || tensor.place.role == TensorRole::kKeyNorm;
  });
}

const char* untrainable_part(const Checkpoint& model, const Config& config) {
  if (config.bidirectional) return "models that embed texts";
  if (config.per_layer_input > 0) return "per-layer inputs";
  if (config.query_growth != 0 && config.context >= config.growth_length)
    return "queries that grow with their position";
  for (const LayerConfig& layer : config.layers) {
    if (layer.experts.count > 0) return "mixtures of experts";
    if (layer.chunk > 0) return "attention to chunks";
    if (layer.latent.key_value > 0) return "multi-head latent attention";
    if (layer.recurrent.kind != RecurrentKind::kNone) return "recurrent layers";
    if (layer.shares_kv) return "layers that share keys and values";
  }
  if (config.architecture->attention_sinks) return "attention sinks";
  if (has_head_norms(model, config)) return "norms of each head";
  return nullptr;
}

}  // namespace

void require_trainable(const Checkpoint& model, const Config& config) {
  if (const char* part = untrainable_part(model, config)) {
    fail("models of '{}' cannot be trained yet: training has no way back through {}",
         config.architecture->name, part);
  }
}

struct Network::Rows {
  Rows(std::span<const Example> examples, int most_tokens)
      : block_table(wide(blocks_for(most_tokens))) {
    std::iota(block_table.begin(), block_table.end(), 0);  // of every text: none sees another
    for (const Example& example : examples) {
      batch.add_chain(example.tokens, 0, block_table);
      for (const Token target : example.targets) {
        if (target != kNothing) {
          counting.push_back(static_cast<int32_t>(targets_seen));
          targets.push_back(target);
        }
        ++targets_seen;
      }
    }
  }

  std::vector<int32_t> block_table;
  Batch batch;
  std::vector<int32_t> counting;  // rows that have a target,
  std::vector<Token> targets;     // and theirs
  size_t targets_seen = 0;
  std::unique_ptr<PreparedRows> prepared;
};

Network::Network(std::shared_ptr<const Checkpoint> checkpoint, ThreadPool& pool, int rows,
                 Learned& learned, std::unique_ptr<Loss> loss)
    : checkpoint_(std::move(checkpoint)),
      backend_(pool),
      pool_(pool),
      learned_(learned),
      loss_(loss == nullptr ? std::make_unique<CrossEntropyLoss>(pool) : std::move(loss)),
      config_(read_config(*checkpoint_)) {
  require_trainable(*checkpoint_, config_);
  learn_whole();
  const int layers = static_cast<int>(config_.layers.size());
  for (int i = 0; i < layers; ++i) Layer(config_, i, workspace_);  // each reserves what it needs
  workspace_.reserve(Workspace::kTapped, 0);
  workspace_.allocate(backend_, rows);
  for (const Rope& rope : config_.ropes) ropes_.push_back(backend_.load_rope(rope));
  residual_ = backend_.allocate(rows, config_.embedding);
  KvShape shape = kv_shape(config_, KvFormat::kF16);
  shape.blocks = blocks_for(rows);
  kv_ = backend_.allocate_kv(shape);
  inputs_.resize(wide(layers));

  load_ends();
  const int together = std::clamp(kLogits / config_.vocabulary, 1, rows);
  last_ = backend_.allocate(together, config_.embedding);
  normalized_ = backend_.allocate(together, config_.embedding);
  logits_ = backend_.allocate(together, config_.vocabulary);
}

void Network::learn_whole() {
  round_to_grids(learned_.parameters(), pool_);
  for (auto& [place, parameter] : learned_.whole) {
    StoredTensor tensor = checkpoint_->require(place);
    const bool is_rounded = parameter.grid != nullptr;
    tensor.format = is_rounded ? parameter.grid : &kF32;
    tensor.bytes = is_rounded ? std::span<const std::byte>(parameter.rounded)
                              : std::as_bytes(std::span(parameter.values));
    tensor.source = nullptr;
    tensor.order = nullptr;
    whole_.emplace(place, std::move(tensor));
  }
}

Loader Network::loader() {
  return Loader(*checkpoint_, backend_, no_progress_, {},
                [this](const StoredTensor& tensor) -> const StoredTensor* {
                  const auto found = whole_.find(tensor.place);
                  return found == whole_.end() ? nullptr : &found->second;
                });
}

// What stands before the first layer and behind the last.
void Network::load_ends() {
  Loader load = loader();
  LearnedBinder bind(learned_);
  const auto tell = [&](TensorVisitor& visit) {
    using enum TensorRole;
    visit.enter(kNoLayer);
    if (config_.architecture->embedding_norm)
      embedding_norm_.tell(visit, config_, kEmbeddingNorm, kEmbeddingNormBias, config_.embedding);
    if (config_.architecture->final_norm)
      output_norm_.tell(visit, config_, config_.architecture->output_norm, kOutputNormBias,
                        config_.embedding);
    const bool tied = checkpoint_->find({kOutput}) == nullptr;
    visit.matrix("logits", {{tied ? kTokenEmbedding : kOutput, config_.vocabulary}},
                 config_.embedding, output_);
    visit.vector({{kOutputBias, config_.vocabulary}}, TensorVisitor::Presence::kOptional,
                 output_bias_);
  };
  tell(load);
  tell(bind);
}

void Network::load_layer(int layer) {
  if (loaded_ == layer) return;
  layer_.reset();  // two need not be in memory at once
  layer_.emplace(config_, layer, workspace_);
  loaded_ = layer;
  Loader load = loader();
  layer_->for_each_tensor(load);
  LearnedBinder bind(learned_);
  layer_->for_each_tensor(bind);
}

// The lowest layer that a gradient is wanted of; as many as there are if only what follows them
// learns.
int Network::first_learned_layer() const {
  int first = static_cast<int>(config_.layers.size());
  const auto look = [&](const TensorPlace& place) {
    if (place.layer != kNoLayer) first = std::min(first, place.layer);
    if (place.layer == kNoLayer && place.role != TensorRole::kOutput) first = 0;
  };
  for (const auto& entry : learned_.whole) look(entry.first);
  for (const auto& entry : learned_.low_rank) look(entry.first);
  return first;
}

void Network::embed(const Rows& rows, std::vector<float>& x) {
  const auto table = [&](TensorRole role) -> const StoredTensor& {
    const auto found = whole_.find({role});
    return found == whole_.end() ? checkpoint_->require({role}) : found->second;
  };
  x.resize(rows.batch.tokens.size() * wide(config_.embedding));
  EmbeddingTable(*checkpoint_, table(TensorRole::kTokenEmbedding), config_.embedding_scale)
      .read(rows.batch.tokens, x);
  if (config_.learned_positions > 0) {
    EmbeddingTable(*checkpoint_, table(TensorRole::kPositionEmbedding), 1)
        .add(rows.batch.positions, x);
  }
}

// Takes the rows through the layer that is loaded.
void Network::forward(const Rows& rows, std::vector<float>& x) {
  const StepAdapters adapters({}, {});
  const Step step(backend_, workspace_, ropes_, *rows.prepared, *kv_, adapters, {});
  const Tensor residual = residual_.top(rows.batch.rows());
  backend_.upload(x, residual);
  if (loaded_ == 0 && embedding_norm_) embedding_norm_.apply(backend_, config_, residual, residual);
  layer_->forward(step, residual);
}

namespace {

void copy_rows(HostRows from, std::vector<float>& to) {
  for (int r = 0; r < from.rows; ++r)
    std::ranges::copy(from.row(r), to.begin() + static_cast<ptrdiff_t>(r) * from.columns);
}

void set_rows(std::span<const float> from, HostTensor to) {
  for (int r = 0; r < to.rows; ++r)
    std::copy_n(from.data() + wide(r) * wide(to.columns), to.columns, to.row(r));
}

void clear_rows(HostTensor x) {
  for (int r = 0; r < x.rows; ++r) std::fill_n(x.row(r), x.columns, 0.0f);
}

}  // namespace

// The same with what comes back through it: dx of what it made becomes that of x.
void Network::back(const Rows& rows, const std::vector<float>& x, std::vector<float>& dx) {
  backend_.record();
  std::vector<float> input = x;
  forward(rows, input);
  const HostTensor adjoint = TapeBackend::adjoint(residual_.top(rows.batch.rows()));
  set_rows(dx, adjoint);
  backend_.go_back();
  copy_rows(adjoint, dx);
  clear_rows(adjoint);
}

void Network::embed_back(const Rows& rows, std::vector<float>& dx) {
  const HostRows d(dx.data(), rows.batch.rows(), config_.embedding, config_.embedding);
  const auto add = [&](TensorRole role, std::span<const int32_t> places, float factor) {
    const auto found = learned_.whole.find({role});
    if (found != learned_.whole.end())
      add_to_rows(d, places, factor, found->second.gradient.data());
  };
  add(TensorRole::kTokenEmbedding, rows.batch.tokens, config_.embedding_scale);
  if (config_.learned_positions > 0) add(TensorRole::kPositionEmbedding, rows.batch.positions, 1);
}

// The loss of what the last layer made; with a factor, dx of that.
double Network::head(const Rows& rows, const std::vector<float>& x, const float* factor,
                     std::vector<float>& dx) {
  const size_t columns = wide(config_.embedding), all = rows.counting.size();
  std::vector<float> some(wide(last_.rows) * columns);
  if (factor != nullptr) dx.assign(x.size(), 0.0f);
  double sum = 0;
  for (size_t first = 0; first < all; first += wide(last_.rows)) {
    const size_t count = std::min(wide(last_.rows), all - first);
    const int height = static_cast<int>(count);
    for (size_t i = 0; i < count; ++i) {
      std::copy_n(x.data() + wide(rows.counting[first + i]) * columns, columns,
                  some.data() + i * columns);
    }
    const Tensor last = last_.top(height), normalized = normalized_.top(height),
                 logits = logits_.top(height);
    if (factor != nullptr) backend_.record();
    backend_.upload(some, last);
    Tensor hidden = last;
    if (output_norm_) output_norm_.apply(backend_, config_, last, hidden = normalized);
    backend_.linear(*output_, hidden, output_bias_.get(), logits);
    if (config_.final_soft_cap > 0 || config_.logit_scale != 1)
      backend_.scale_and_cap(config_.logit_scale, config_.final_soft_cap, logits);
    const LossRows of{.first = static_cast<int>(first),
                      .hidden = backend_.download(hidden),
                      .logits = backend_.download(logits),
                      .targets = std::span(rows.targets).subspan(first, count)};
    if (factor == nullptr) {
      sum += loss_->of(of);
      continue;
    }
    sum += loss_->differentiate(of, *factor, TapeBackend::adjoint(hidden),
                                TapeBackend::adjoint(logits));
    backend_.go_back();
    const HostTensor adjoint = TapeBackend::adjoint(last);
    for (size_t i = 0; i < count; ++i) {
      std::copy_n(adjoint.row(static_cast<int>(i)), columns,
                  dx.data() + wide(rows.counting[first + i]) * columns);
    }
    clear_rows(adjoint);
  }
  return sum;
}

void Network::check(std::span<const Example> examples) const {
  for (const Example& example : examples) {
    if (example.rows() > config_.context) {
      fail("an example of {} tokens does not fit the model's context of {}", example.rows(),
           config_.context);
    }
    const auto require_token = [&](Token token) {
      if (token < 0 || token >= config_.vocabulary)
        fail("token {} of an example is none of the model's {}", token, config_.vocabulary);
    };
    for (const Token token : example.tokens) require_token(token);
    for (const Token target : example.targets) {
      if (target != kNothing) require_token(target);
    }
  }
}

double Network::run(std::span<const Example> examples, const float* factor) {
  check(examples);
  Rows rows(examples, residual_.rows);
  TESSERA_ASSERT(rows.batch.rows() <= residual_.rows);
  rows.prepared = backend_.prepare({.positions = rows.batch.positions,
                                    .slots = rows.batch.slots,
                                    .contexts = rows.batch.contexts,
                                    .runs = rows.batch.runs});
  if (!whole_.empty()) {  // their values may be others by now
    loaded_ = -1;
    round_to_grids(learned_.parameters(), pool_);
    load_ends();
  }
  const int layers = static_cast<int>(config_.layers.size());
  const int lowest = factor == nullptr ? layers : first_learned_layer();
  std::vector<float> x, dx;
  embed(rows, x);
  for (int layer = 0; layer < layers; ++layer) {
    load_layer(layer);
    if (layer >= lowest) inputs_[wide(layer)] = x;
    forward(rows, x);
    copy_rows(backend_.download(residual_.top(rows.batch.rows())), x);
  }
  loss_->begin(examples);
  const double sum = head(rows, x, factor, dx);
  for (int layer = layers - 1; layer >= lowest; --layer) {
    load_layer(layer);
    back(rows, inputs_[wide(layer)], dx);
  }
  if (lowest == 0) embed_back(rows, dx);
  return sum;
}

}  // namespace tessera::train
