#include "train/medusa.h"

#include <fmt/format.h>
#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <queue>
#include <string>
#include <utility>

#include "base/assert.h"
#include "files/gguf/tensor_names.h"
#include "train/operations/cross_entropy.h"
#include "train/row_ranges.h"
#include "train/trunk.h"

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

void save_medusa_heads(const Learned& learned, const OutputRows& output,
                       std::span<const HitShares> shares, const std::filesystem::path& path) {
  GgufMetadata metadata;
  metadata.set("general.architecture", {std::string("medusa")});
  metadata.set("medusa.heads", {static_cast<uint32_t>(count_heads(learned))});
  metadata.set("medusa.layers", {uint32_t{1}});
  std::vector<int32_t> parts;
  for (const HitShares& head : shares) {
    if (!head) continue;
    for (const float share : *head)
      parts.push_back(
          static_cast<int32_t>(std::lround(share * static_cast<float>(kWholeHitShare))));
  }
  if (parts.size() == wide(count_heads(learned)) * MedusaHeads::kRanks)
    metadata.set(fmt::format("medusa.{}", kHitShares), {GgufValue::Array(std::move(parts))});
  write_draft_file(std::move(metadata), learned, output, path);
}

// Which rows of the examples a head has something to say of, and which rows of the output that is.
struct MedusaObjective::Targets {
  std::vector<int32_t> rows;
  std::vector<Token> tokens;
  int unknown = 0;  // that the output does not know
};

MedusaObjective::MedusaObjective(const Checkpoint& checkpoint, Model& trunk, ThreadPool& pool,
                                 Learned& learned, std::vector<Token> tokens)
    : trunk_(trunk),
      pool_(pool),
      learned_(learned),
      heads_(count_heads(learned)),
      backend_(pool),
      output_(checkpoint, trunk.config(), std::move(tokens), backend_),
      blocks_(wide(heads_)),
      biases_(wide(heads_)) {
  trunk.require_logits();
  const int together = std::clamp(kLogitsOfHeads / output_.rows(), 1, 512);
  states_ = backend_.allocate(together, trunk.config().embedding);
  blocked_ = backend_.allocate(together, trunk.config().embedding);
  logits_ = backend_.allocate(together, output_.rows());
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

MedusaObjective::Targets MedusaObjective::targets_of(std::span<const Example> examples,
                                                     int head) const {
  Targets targets;
  int32_t first = 0;
  for (const Example& example : examples) {
    for (int row = 0; row + head + 1 < example.rows(); ++row) {
      const Token target = example.targets[wide(row + head + 1)];
      if (target == kNothing) continue;
      const Token token = output_.row_of(target);
      if (token == kNothing) {
        ++targets.unknown;
        continue;
      }
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
  const size_t columns = wide(trunk_.config().embedding);
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
    output_.project(h, logits);
    body(logits, std::span(targets.tokens).subspan(first, count));
    if (!records) continue;
    backend_.go_back();
    const HostTensor adjoint = TapeBackend::adjoint(x);  // the model is frozen
    for (int r = 0; r < rows; ++r) std::fill_n(adjoint.row(r), adjoint.columns, 0.0f);
  }
}

double MedusaObjective::run(std::span<const Example> examples, const float* factor) {
  load_heads();
  const std::vector<float> states = hidden_states(trunk_, examples);
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

std::vector<HitShares> MedusaObjective::hit_shares(std::span<const Example> examples) {
  load_heads();
  std::vector<std::array<double, MedusaHeads::kRanks>> counts(wide(heads_));
  for (const Example& example : examples) {
    const std::span<const Example> one(&example, 1);
    const std::vector<float> states = hidden_states(trunk_, one);
    for (int head = 0; head < heads_; ++head) {
      for_logits(states, targets_of(one, head), head, false,
                 [&](Tensor logits, std::span<const Token> tokens) {
                   const HostRows values = backend_.download(logits);
                   for (size_t i = 0; i < tokens.size(); ++i) {
                     const auto row = values.row(static_cast<int>(i));
                     const float own = row[wide(tokens[i])];
                     const auto above = static_cast<size_t>(
                         std::ranges::count_if(row, [&](float v) { return v > own; }));
                     if (above < MedusaHeads::kRanks) ++counts[wide(head)][above];
                   }
                 });
    }
  }
  std::vector<HitShares> shares(wide(heads_));
  for (int head = 0; head < heads_; ++head) {
    const Targets targets = targets_of(examples, head);
    const double count = static_cast<double>(targets.rows.size()) + targets.unknown;
    if (count == 0) continue;
    MedusaHeads::HitShares& of_head = shares[wide(head)].emplace();
    for (size_t rank = 0; rank < of_head.size(); ++rank)
      of_head[rank] = static_cast<float>(counts[wide(head)][rank] / count);
  }
  return shares;
}

double share_among(const MedusaHeads::HitShares& shares, int guesses) {
  return std::accumulate(shares.begin(), shares.begin() + guesses, 0.0);
}

double expected_tokens(std::span<const HitShares> heads, int nodes) {
  struct Node {
    double chance;
    size_t depth;
    bool operator<(const Node& other) const { return chance < other.chance; }
  };
  std::priority_queue<Node> next;
  next.push({1, 0});  // the token that comes anyway
  double sum = 0;
  for (int taken = 0; taken <= nodes && !next.empty(); ++taken) {
    const Node node = next.top();
    next.pop();
    sum += node.chance;
    if (node.depth == heads.size() || !heads[node.depth]) continue;
    for (const float share : *heads[node.depth])
      next.push({node.chance * static_cast<double>(share), node.depth + 1});
  }
  return sum;
}

}  // namespace tessera::train
