#include "train/eagle.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>

#include "base/error.h"
#include "files/gguf/tensor_names.h"
#include "model/batch.h"
#include "model/flat_context.h"
#include "model/loader.h"
#include "model/next_tokens.h"
#include "train/learned_checkpoint.h"
#include "train/network.h"
#include "train/operations/divergence.h"
#include "train/row_ranges.h"
#include "train/trunk.h"

namespace tessera::train {
namespace {

constexpr double kDeclineOfPasses = 0.8;  // of their weights in the loss, pass by pass
constexpr int kLogitsOfDraft = 4 << 20;   // that are in memory at a time, twice

double length_of(std::span<const float> row) {
  double squares = 0;
  for (const float value : row) squares += static_cast<double>(value) * static_cast<double>(value);
  return std::sqrt(squares / static_cast<double>(row.size()));
}

std::vector<float> decoded_values(const StoredTensor& tensor) {
  std::vector<float> values(tensor.elements());
  tensor.decode(0, tensor.rows(), values);
  return values;
}

// By how much the residual stream is longer than what a norm of such a weight makes of the hidden
// state: the median over the text's tokens, the first of which are far longer in many models.
double length_of_stream(Model& trunk, const Example& sample, std::span<const float> weight) {
  FlatContext context(trunk, sample.rows(), KvFormat::kF16);
  const int rows = std::min(trunk.limits().rows, sample.rows());
  std::vector<double> lengths;
  const Tap tap{.layer = static_cast<int>(trunk.config().layers.size()) - 1,
                .read = [&](Tensor stream) {
                  const HostRows x = trunk.backend().download(stream);
                  for (int r = 0; r < x.rows; ++r) lengths.push_back(length_of(x.row(r)));
                }};
  Batch batch;
  batch.add_chain(std::span(sample.tokens).first(wide(rows)), 0, context.block_table, nullptr,
                  context.go_on(0, rows));
  trunk.forward(batch, *context.kv, std::span(&tap, 1));
  const HostRows hidden = trunk.backend().download(trunk.hidden_states(0, rows));
  for (int r = 0; r < rows; ++r) {
    std::vector<float> row(hidden.row(r).begin(), hidden.row(r).end());
    const double length = length_of(row);
    for (size_t i = 0; i < row.size(); ++i) row[i] *= weight[i] / static_cast<float>(length);
    lengths[wide(r)] /= length_of(row);
  }
  const auto middle = lengths.begin() + static_cast<std::ptrdiff_t>(lengths.size() / 2);
  std::ranges::nth_element(lengths, middle);
  return *middle;
}

// The weight of a norm that undoes the output norm's, as far as that is not nearly 0: what it makes
// of hidden states is about as long as what a norm of weight 1 does.
std::vector<float> inverse_of(std::span<const float> weight) {
  const auto usual = static_cast<float>(length_of(weight)), least = 0.05f * usual;
  std::vector<float> inverse;
  for (const float w : weight) inverse.push_back(usual * w / (w * w + least * least));
  return inverse;
}

// Is it what a layer's parts add to the stream, or what that goes through last?
bool is_added(TensorRole role, const Architecture& family) {
  using enum TensorRole;
  if (family.post_norms) return role == kPostAttentionNorm || role == kPostFeedForwardNorm;
  return role == kAttentionOutput || role == kAttentionOutputBias || role == kDown ||
         role == kDownBias;
}

}  // namespace

Learned make_eagle_draft(const Checkpoint& checkpoint, Model& trunk, const Example& sample) {
  using enum TensorRole;
  trunk.require_logits();
  const Config& config = trunk.config();
  require_trainable(checkpoint, config);
  const int last = static_cast<int>(config.layers.size()) - 1, number = last + 1,
            n = config.embedding;
  Learned learned;
  const auto add = [&](TensorRole role, int rows, int columns) -> std::vector<float>& {
    const TensorPlace place{role, number};
    return learned.whole.emplace(place, Parameter(gguf::tensor_name(place), rows, columns))
        .first->second.values;
  };
  for (const StoredTensor& tensor : checkpoint.tensors()) {
    if (tensor.place.layer != last) continue;
    add(tensor.place.role, static_cast<int>(tensor.rows()), static_cast<int>(tensor.columns())) =
        decoded_values(tensor);
  }
  if (checkpoint.find({TensorRole::kOutputNormBias}) != nullptr) {
    fail("models of '{}' have no EAGLE drafts yet: their last norm has a bias",
         config.architecture->name);
  }
  const std::vector<float> norm =
      decoded_values(checkpoint.require({config.architecture->output_norm}));
  const std::vector<float>& undone = add(kNextTokenHiddenNorm, 1, n) = inverse_of(norm);
  std::vector<float>& projection = add(kNextTokenProjection, n, 2 * n);
  // The token's half is learned from nothing: anything else in its place tells the layer less, at
  // first, than the hidden state alone.
  for (size_t i = 0; i < wide(n); ++i) projection[i * 2 * wide(n) + wide(n) + i] = 1;
  // A stream of length 1, on which all of a step's changes tell: so the layer adds less to it.
  const auto length = static_cast<float>(length_of_stream(trunk, sample, undone));
  for (auto& [place, parameter] : learned.whole) {
    if (!is_added(place.role, *config.architecture)) continue;
    for (float& value : parameter.values) value /= length;
  }
  std::ranges::fill(add(kNextTokenEmbeddingNorm, 1, n), 1.0f);
  add(kNextTokenOutputNorm, 1, n) = norm;
  return learned;
}

void save_eagle_draft(const Learned& learned, const Config& model, OutputRows output,
                      const std::filesystem::path& path) {
  const auto key = [](std::string_view fact) {
    return std::string(kDraftLayerArchitecture) + "." + std::string(fact);
  };
  GgufMetadata metadata;
  metadata.set("general.architecture", {std::string(kDraftLayerArchitecture)});
  metadata.set(key(kDraftLayerBase), {std::string(model.architecture->name)});
  metadata.set(key("block_count"), {static_cast<uint32_t>(model.layers.size())});
  metadata.set(key("embedding_length"), {static_cast<uint32_t>(model.embedding)});
  metadata.set(key("vocab_size"), {static_cast<uint32_t>(model.vocabulary)});
  output.place = {TensorRole::kNextTokenOutput, static_cast<int>(model.layers.size())};
  write_draft_file(std::move(metadata), learned, output, path);
}

// Of examples: a row for each token but the last, which nothing is known behind. It has the next
// token, the hidden state of its own, and is to make that of the next.
struct EagleObjective::Rows {
  Rows(Model& trunk, std::span<const Example> examples, int most)
      : block_table(wide(blocks_for(most))) {
    std::iota(block_table.begin(), block_table.end(), 0);  // of every text: none sees another
    const size_t columns = wide(trunk.config().embedding);
    const std::vector<float> all = hidden_states(trunk, examples);
    const float* from = all.data();
    for (const Example& example : examples) {
      const size_t count = wide(example.rows()) - 1;
      if (count > 0) batch.add_chain(std::span(example.tokens).subspan(1), 0, block_table);
      states.insert(states.end(), from, from + count * columns);
      ahead.insert(ahead.end(), from + columns, from + (count + 1) * columns);
      for (size_t i = 0; i < count; ++i) {
        const Token target = example.targets[i + 1];
        if (target == kNothing) continue;
        counting.push_back(batch.rows() - static_cast<int>(count - i));
        targets.push_back(target);
      }
      from += (count + 1) * columns;
    }
  }

  std::vector<int32_t> block_table;
  Batch batch;
  std::vector<float> states, ahead;  // [rows, embedding]
  std::vector<int32_t> counting;     // rows behind which a target comes,
  std::vector<Token> targets;        // and it
  std::unique_ptr<PreparedRows> prepared;

  // What each row would read if it were asked behind a draft: what the row before made, but for the
  // first of a text.
  std::vector<float> behind(HostRows made) const {
    std::vector<float> shifted = states;
    for (int r = 1; r < made.rows; ++r) {
      if (batch.positions[wide(r)] == 0) continue;
      const auto row = made.row(r - 1);
      std::ranges::copy(row, shifted.begin() + static_cast<std::ptrdiff_t>(wide(r) * row.size()));
    }
    return shifted;
  }
};

EagleObjective::EagleObjective(const Checkpoint& checkpoint, Model& trunk, ThreadPool& pool,
                               Learned& learned, std::vector<Token> tokens, EagleOptions options,
                               int rows)
    : checkpoint_(checkpoint),
      trunk_(trunk),
      pool_(pool),
      learned_(learned),
      options_(options),
      config_(with_next_token_layer(trunk.config())),
      layer_tape_(pool),
      output_tape_(pool),
      output_(checkpoint, trunk.config(), std::move(tokens), output_tape_),
      embeddings_(checkpoint, checkpoint.require({TensorRole::kTokenEmbedding}),
                  config_.embedding_scale) {
  const int n = config_.embedding;
  layer_.emplace(config_, true, workspace_);
  workspace_.reserve(Workspace::kTapped, 0);
  workspace_.allocate(layer_tape_, rows);
  for (const Rope& rope : config_.ropes) ropes_.push_back(layer_tape_.load_rope(rope));
  kv_ = layer_tape_.allocate_kv(layer_->kv_shape(blocks_for(rows)));
  joined_ = layer_tape_.allocate(rows, 2 * n);
  residual_ = layer_tape_.allocate(rows, n);
  made_ = layer_tape_.allocate(rows, n);
  const int together = std::clamp(kLogitsOfDraft / output_.rows(), 1, rows);
  some_ = output_tape_.allocate(together, n);
  wanted_ = output_tape_.allocate(together, n);
  logits_ = output_tape_.allocate(together, output_.rows());
  wanted_logits_ = output_tape_.allocate(together, output_.rows());
}

// As its values are now.
void EagleObjective::load_layer() {
  const LearnedCheckpoint stored(learned_, checkpoint_);
  const Loader::Progress no_progress;
  Loader load(stored, layer_tape_, no_progress);
  LearnedBinder bind(learned_);
  layer_->for_each_tensor(load);
  load.require_all_taken();
  layer_->for_each_tensor(bind);
}

// Into made_.
void EagleObjective::forward(const Rows& rows, std::span<const float> states, bool records) {
  const int n = config_.embedding, count = rows.batch.rows();
  std::vector<float> embedded(wide(count) * wide(n));
  embeddings_.read(rows.batch.tokens, embedded);
  const Tensor joined = joined_.top(count), x = residual_.top(count);
  layer_tape_.upload(embedded, joined.slice(0, n));
  layer_tape_.upload(states, joined.slice(n, n));
  const StepAdapters adapters({}, {});
  const Step step(layer_tape_, workspace_, ropes_, *rows.prepared, *kv_, adapters, {});
  if (records) layer_tape_.record();
  layer_->forward(step, joined, x);
  layer_->normalize(layer_tape_, x, made_.top(count));
}

// Uploads what `from` has of counting rows, from `first` on as many as fit.
Tensor EagleObjective::gather(const Rows& rows, size_t first, HostRows from, Tensor into) {
  const size_t count = std::min(wide(into.rows), rows.counting.size() - first);
  std::vector<float> some;
  for (size_t i = 0; i < count; ++i) {
    const auto row = from.row(rows.counting[first + i]);
    some.insert(some.end(), row.begin(), row.end());
  }
  const Tensor filled = into.top(static_cast<int>(count));
  output_tape_.upload(some, filled);
  return filled;
}

// The smooth L1 of what was made of the counting rows from `first` on, a mean over a row's values.
double EagleObjective::lose_features(const Rows& rows, size_t first, HostRows made,
                                     const float* factor, HostTensor adjoint) const {
  const size_t columns = wide(config_.embedding);
  double sum = 0;
  for (int r = 0; r < made.rows; ++r) {
    const float* wanted = rows.ahead.data() + wide(rows.counting[first + wide(r)]) * columns;
    for (size_t i = 0; i < columns; ++i) {
      const float off = made.row(r)[i] - wanted[i], far = std::abs(off);
      sum += static_cast<double>(far < 1 ? off * off / 2 : far - 0.5f);
      if (factor != nullptr)
        adjoint.row(r)[i] += *factor / static_cast<float>(columns) * std::clamp(off, -1.0f, 1.0f);
    }
  }
  return sum / static_cast<double>(columns);
}

// Of what forward() made; with a factor, made_'s adjoint.
double EagleObjective::lose(const Rows& rows, const float* factor) {
  const int columns = config_.embedding;
  const HostRows made = layer_tape_.download(made_);
  const HostRows ahead(rows.ahead.data(), rows.batch.rows(), columns, columns);
  double sum = 0;
  for (size_t first = 0; first < rows.counting.size(); first += wide(some_.rows)) {
    const Tensor wanted = gather(rows, first, ahead, wanted_), x = gather(rows, first, made, some_);
    const Tensor logits = logits_.top(x.rows), wanted_logits = wanted_logits_.top(x.rows);
    output_.project(wanted, wanted_logits);
    if (factor != nullptr) output_tape_.record();
    output_.project(x, logits);
    const HostRows told = output_tape_.download(logits);
    const HostRows right = output_tape_.download(wanted_logits);
    if (factor == nullptr) {
      sum += options_.classification * divergence(pool_, {}, right, told);
      sum += options_.regression *
             lose_features(rows, first, output_tape_.download(x), nullptr, HostTensor());
      continue;
    }
    const float of_logits = *factor * static_cast<float>(options_.classification),
                of_features = *factor * static_cast<float>(options_.regression);
    sum += options_.classification *
           divergence_back(pool_, {}, right, told, of_logits, TapeBackend::adjoint(logits));
    output_tape_.go_back();
    const HostTensor adjoint = TapeBackend::adjoint(x), to = TapeBackend::adjoint(made_);
    sum += options_.regression *
           lose_features(rows, first, output_tape_.download(x), &of_features, adjoint);
    for (int r = 0; r < x.rows; ++r) {
      std::copy_n(adjoint.row(r), columns, to.row(rows.counting[first + wide(r)]));
      std::fill_n(adjoint.row(r), columns, 0.0f);
    }
  }
  return sum;
}

double EagleObjective::run(std::span<const Example> examples, const float* factor) {
  load_layer();
  Rows rows(trunk_, examples, joined_.rows);
  if (rows.batch.rows() == 0) return 0;
  rows.prepared = layer_tape_.prepare({.positions = rows.batch.positions,
                                       .slots = rows.batch.slots,
                                       .contexts = rows.batch.contexts,
                                       .runs = rows.batch.runs});
  std::vector<float> states = rows.states;
  double sum = 0, weight = 1;
  for (int pass = 0; pass < options_.passes; ++pass, weight *= kDeclineOfPasses) {
    forward(rows, states, factor != nullptr);
    const float weighed = factor == nullptr ? 0 : *factor * static_cast<float>(weight);
    sum += weight * lose(rows, factor == nullptr ? nullptr : &weighed);
    states = rows.behind(layer_tape_.download(made_.top(rows.batch.rows())));
    if (factor == nullptr) continue;
    layer_tape_.go_back();
    const HostTensor adjoint = TapeBackend::adjoint(joined_);  // the model is frozen
    for (int r = 0; r < rows.batch.rows(); ++r) std::fill_n(adjoint.row(r), adjoint.columns, 0.0f);
  }
  return sum;
}

std::vector<std::optional<double>> EagleObjective::accuracies(std::span<const Example> examples,
                                                              int times) {
  load_layer();
  std::vector<double> right(wide(times));
  double judged = 0;
  for (const Example& example : examples) {
    Rows rows(trunk_, std::span(&example, 1), joined_.rows);
    if (rows.batch.rows() == 0) continue;
    rows.prepared = layer_tape_.prepare({.positions = rows.batch.positions,
                                         .slots = rows.batch.slots,
                                         .contexts = rows.batch.contexts,
                                         .runs = rows.batch.runs});
    judged += static_cast<double>(rows.counting.size());
    std::vector<float> states = rows.states;
    for (int time = 0; time < times; ++time) {
      forward(rows, states, false);
      const HostRows made = layer_tape_.download(made_.top(rows.batch.rows()));
      for (size_t first = 0; first < rows.counting.size(); first += wide(some_.rows)) {
        const Tensor x = gather(rows, first, made, some_), logits = logits_.top(x.rows);
        output_.project(x, logits);
        const HostRows told = output_tape_.download(logits);
        for (int r = 0; r < told.rows; ++r) {
          const auto guess = std::ranges::max_element(told.row(r)) - told.row(r).begin();
          right[wide(time)] += guess == output_.row_of(rows.targets[first + wide(r)]) ? 1 : 0;
        }
      }
      states = rows.behind(made);
    }
  }
  std::vector<std::optional<double>> accuracies(wide(times));
  for (int time = 0; time < times && judged > 0; ++time)
    accuracies[wide(time)] = right[wide(time)] / judged;
  return accuracies;
}

}  // namespace tessera::train
