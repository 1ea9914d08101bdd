#include "train/medusa.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "base/assert.h"
#include "files/gguf/tensor_names.h"
#include "files/gguf/writer.h"
#include "model/flat_context.h"
#include "train/operations/cross_entropy.h"
#include "train/row_ranges.h"

namespace tessera::train {
namespace {

constexpr double kDecline = 0.8;         // of the heads' weights in the loss, head by head
constexpr int kLogitsOfHeads = 8 << 20;  // that are in memory at a time

int count_heads(const Learned& learned) {
  return static_cast<int>(std::ranges::count_if(learned.whole, [](const auto& entry) {
    return entry.first.role == TensorRole::kMedusaBlock;
  }));
}

}  // namespace

Learned make_medusa_heads(int heads, int embedding) {
  Learned learned;
  for (int head = 0; head < heads; ++head) {
    const auto add = [&](TensorRole role, int rows) {
      const TensorPlace place{role, head};
      learned.whole.emplace(place, Parameter(gguf::tensor_name(place), rows, embedding));
    };
    add(TensorRole::kMedusaBlock, embedding);
    add(TensorRole::kMedusaBlockBias, 1);
  }
  return learned;
}

void save_medusa_heads(const Learned& learned, const std::filesystem::path& path) {
  GgufMetadata metadata;
  metadata.set("general.architecture", {std::string("medusa")});
  metadata.set("medusa.heads", {static_cast<uint32_t>(count_heads(learned))});
  metadata.set("medusa.layers", {uint32_t{1}});
  GgufWriter writer(std::move(metadata));
  std::vector<const Parameter*> parameters;
  for (const auto& entry : learned.whole) {
    const Parameter& parameter = entry.second;
    std::vector<uint64_t> shape = {static_cast<uint64_t>(parameter.columns)};
    if (parameter.rows > 1) shape.push_back(static_cast<uint64_t>(parameter.rows));
    writer.declare(parameter.name, kF32, std::move(shape));
    parameters.push_back(&parameter);
  }
  writer.write(path, [&](size_t i) {
    const auto bytes = std::as_bytes(std::span(parameters[i]->values));
    return std::vector<std::byte>(bytes.begin(), bytes.end());
  });
}

// Which rows of the examples a head has something to say of, and what.
struct MedusaObjective::Targets {
  std::vector<int32_t> rows;
  std::vector<Token> tokens;
};

MedusaObjective::MedusaObjective(const Checkpoint& checkpoint, Model& trunk, ThreadPool& pool,
                                 Learned& learned)
    : trunk_(trunk),
      pool_(pool),
      learned_(learned),
      heads_(count_heads(learned)),
      backend_(pool),
      blocks_(wide(heads_)),
      biases_(wide(heads_)) {
  trunk.require_logits();
  const Config& config = trunk.config();
  Loader loader(checkpoint, backend_, no_progress_);
  loader.enter(kNoLayer);
  const bool tied = checkpoint.find({TensorRole::kOutput}) == nullptr;
  loader.matrix("logits",
                {{tied ? TensorRole::kTokenEmbedding : TensorRole::kOutput, config.vocabulary}},
                config.embedding, output_);
  loader.vector({{TensorRole::kOutputBias, config.vocabulary}}, TensorVisitor::Presence::kOptional,
                output_bias_);
  const int together = std::clamp(kLogitsOfHeads / config.vocabulary, 1, 512);
  states_ = backend_.allocate(together, config.embedding);
  blocked_ = backend_.allocate(together, config.embedding);
  logits_ = backend_.allocate(together, config.vocabulary);
}

// As their values are now.
void MedusaObjective::load_heads() {
  const int embedding = trunk_.config().embedding;
  for (int head = 0; head < heads_; ++head) {
    Parameter& block = learned_.whole.at({TensorRole::kMedusaBlock, head});
    Parameter& bias = learned_.whole.at({TensorRole::kMedusaBlockBias, head});
    const Backend::WeightPart part{
        .format = &kF32, .bytes = std::as_bytes(std::span(block.values)), .rows = embedding};
    auto& matrix = blocks_[wide(head)] = backend_.load_matrix(std::span(&part, 1), embedding);
    static_cast<TapeMatrix&>(*matrix).whole = {{0, embedding, block.gradient.data()}};
    auto& vector = biases_[wide(head)] = backend_.load_vector(bias.values);
    static_cast<TapeVector&>(*vector).whole = {{0, embedding, bias.gradient.data()}};
  }
}

std::vector<float> MedusaObjective::hidden_states(std::span<const Example> examples) {
  std::vector<float> all, some;
  for (const Example& example : examples) {
    FlatContext context(trunk_, example.rows(), KvFormat::kF16);
    for (int first = 0; first < example.rows();) {
      const int rows = std::min(trunk_.limits().rows, example.rows() - first);
      Batch batch;
      batch.add_chain(std::span(example.tokens).subspan(wide(first), wide(rows)), first,
                      context.block_table, nullptr, context.go_on(first, rows));
      trunk_.forward(batch, *context.kv);
      trunk_.backend().download(trunk_.hidden_states(0, rows)).copy(some);
      all.insert(all.end(), some.begin(), some.end());
      first += rows;
    }
  }
  return all;
}

MedusaObjective::Targets MedusaObjective::targets_of(std::span<const Example> examples,
                                                     int head) const {
  Targets targets;
  int32_t first = 0;
  for (const Example& example : examples) {
    for (int row = 0; row + head + 1 < example.rows(); ++row) {
      const Token token = example.targets[wide(row + head + 1)];
      if (token == kNothing) continue;
      targets.rows.push_back(first + row);
      targets.tokens.push_back(token);
    }
    first += example.rows();
  }
  return targets;
}

template <class Body>
void MedusaObjective::for_logits(std::span<const float> states, const Targets& targets, int head,
                                 bool records, Body body) {
  const Config& config = trunk_.config();
  const size_t columns = wide(config.embedding);
  std::vector<float> some(wide(states_.rows) * columns);
  for (size_t first = 0; first < targets.rows.size(); first += wide(states_.rows)) {
    const size_t count = std::min(wide(states_.rows), targets.rows.size() - first);
    for (size_t i = 0; i < count; ++i) {
      std::copy_n(states.data() + wide(targets.rows[first + i]) * columns, columns,
                  some.data() + i * columns);
    }
    const int rows = static_cast<int>(count);
    const Tensor x = states_.top(rows), h = blocked_.top(rows), logits = logits_.top(rows);
    if (records) backend_.record();
    backend_.upload(some, x);
    backend_.linear(*blocks_[wide(head)], x, biases_[wide(head)].get(), h);
    backend_.activate(Activation::kSilu, h);
    backend_.add(x, h);
    backend_.linear(*output_, h, output_bias_.get(), logits);
    if (config.final_soft_cap > 0 || config.logit_scale != 1)
      backend_.scale_and_cap(config.logit_scale, config.final_soft_cap, logits);
    body(logits, std::span(targets.tokens).subspan(first, count));
    if (!records) continue;
    backend_.go_back();
    const HostTensor adjoint = TapeBackend::adjoint(x);  // the model is frozen
    for (int r = 0; r < rows; ++r) std::fill_n(adjoint.row(r), adjoint.columns, 0.0f);
  }
}

double MedusaObjective::run(std::span<const Example> examples, const float* factor) {
  load_heads();
  const std::vector<float> states = hidden_states(examples);
  double sum = 0, weight = 1;
  for (int head = 0; head < heads_; ++head, weight *= kDecline) {
    for_logits(states, targets_of(examples, head), head, factor != nullptr,
               [&](Tensor logits, std::span<const Token> tokens) {
                 const HostRows values = backend_.download(logits);
                 sum += weight * (factor == nullptr
                                      ? cross_entropy(pool_, values, tokens)
                                      : cross_entropy_back(pool_, values, tokens,
                                                           *factor * static_cast<float>(weight),
                                                           TapeBackend::adjoint(logits)));
               });
  }
  return sum;
}

double MedusaObjective::loss(std::span<const Example> examples) {
  return run(examples, nullptr);
}

double MedusaObjective::differentiate(std::span<const Example> examples, float factor) {
  return run(examples, &factor);
}

std::vector<std::optional<MedusaObjective::Accuracy>> MedusaObjective::accuracies(
    std::span<const Example> examples) {
  load_heads();
  std::vector<Accuracy> counts(wide(heads_));
  for (const Example& example : examples) {
    const std::span<const Example> one(&example, 1);
    const std::vector<float> states = hidden_states(one);
    for (int head = 0; head < heads_; ++head) {
      for_logits(states, targets_of(one, head), head, false,
                 [&](Tensor logits, std::span<const Token> tokens) {
                   const HostRows values = backend_.download(logits);
                   for (size_t i = 0; i < tokens.size(); ++i) {
                     const auto row = values.row(static_cast<int>(i));
                     const float own = row[wide(tokens[i])];
                     const auto above =
                         std::ranges::count_if(row, [&](float v) { return v > own; });
                     counts[wide(head)].first += above < 1 ? 1 : 0;
                     counts[wide(head)].five += above < 5 ? 1 : 0;
                   }
                 });
    }
  }
  std::vector<std::optional<Accuracy>> accuracies(wide(heads_));
  for (int head = 0; head < heads_; ++head) {
    const auto count = static_cast<double>(targets_of(examples, head).rows.size());
    const auto [first, five] = counts[wide(head)];
    if (count > 0) accuracies[wide(head)] = {.first = first / count, .five = five / count};
  }
  return accuracies;
}

}  // namespace tessera::train
