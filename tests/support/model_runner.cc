#include "support/model_runner.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "files/open.h"
#include "support/test_backend.h"

namespace tessera {
namespace {

constexpr int kStates = 4096;  // memory that is not used costs nothing

}  // namespace

ModelRunner::ModelRunner(const std::filesystem::path& path, const Options& options)
    : ModelRunner(open_checkpoint(path), options) {}

ModelRunner::ModelRunner(std::shared_ptr<const Checkpoint> checkpoint, const Options& options) {
  std::shared_ptr<Backend> backend =
      options.backend != nullptr ? options.backend : make_test_backend(options.threads);
  const Model::Limits limits{.context = options.context, .rows = 512, .wanted_rows = 512};
  model_ = std::make_unique<Model>(std::move(checkpoint), std::move(backend), limits);
  kv_ = model_->make_kv(options.blocks, options.kv, kStates);
  free_blocks_.resize(static_cast<size_t>(options.blocks));
  std::iota(free_blocks_.begin(), free_blocks_.end(), 0);
  std::ranges::shuffle(free_blocks_, std::mt19937(7));
}

std::vector<int32_t> ModelRunner::new_table(int tokens) {
  std::vector<int32_t> table;
  for (int first = 0; first < tokens; first += kBlockTokens) {
    if (free_blocks_.empty()) fail("the test's KV store has no free block left");
    table.push_back(free_blocks_.back());
    free_blocks_.pop_back();
  }
  return table;
}

std::vector<LogitRow> ModelRunner::run(Batch& batch) {
  batch.wanted.resize(static_cast<size_t>(batch.rows()));
  std::iota(batch.wanted.begin(), batch.wanted.end(), 0);
  return copy_rows(model_->backend().download(model_->forward(batch, *kv_)));
}

int32_t ModelRunner::state_at(int position, std::span<const int32_t> table) const {
  if (position == 0 || model_->state_bytes() == 0) return kNoState;
  return states_.at({table[0], position});
}

std::vector<StateSave> ModelRunner::new_states(int prefix, int rows,
                                               std::span<const int32_t> table) {
  std::vector<StateSave> saves;
  if (model_->state_bytes() == 0) return saves;
  for (int position = prefix + 1; position <= prefix + rows; ++position) {
    if (position % kBlockTokens != 0 && position != prefix + rows) continue;
    const auto next = static_cast<int32_t>(states_.size());
    if (next == kStates) fail("the test has no state left");
    const int32_t state = states_.try_emplace({table[0], position}, next).first->second;
    saves.push_back({.row = position - prefix - 1, .state = state});
  }
  return saves;
}

void ModelRunner::add_chain(Batch& batch, std::span<const Token> tokens, int prefix,
                            std::span<const int32_t> table) {
  const int32_t from = state_at(prefix, table);
  const auto saves = new_states(prefix, static_cast<int>(tokens.size()), table);
  batch.add_chain(tokens, prefix, table, nullptr, {.from = from, .saves = saves});
}

void ModelRunner::add_tree(Batch& batch, std::span<const Token> nodes,
                           std::span<const int32_t> parents, int prefix,
                           std::span<const int32_t> table) {
  batch.add_tree(nodes, parents, prefix, table, nullptr, state_at(prefix, table));
}

void ModelRunner::keep_path(std::span<const int32_t> nodes, int prefix,
                            std::span<const int32_t> table) {
  const int32_t from = state_at(prefix, table);
  const auto saves = new_states(prefix, static_cast<int>(nodes.size()), table);
  const StatePath path{.first_row = 0, .from = from, .nodes = nodes, .saves = saves};
  model_->keep_states(*kv_, std::span(&path, 1));
}

std::vector<LogitRow> ModelRunner::run_chain(std::span<const Token> tokens, int prefix,
                                             std::span<const int32_t> table) {
  Batch batch;
  add_chain(batch, tokens, prefix, table);
  return run(batch);
}

std::vector<LogitRow> ModelRunner::run_text(std::span<const Token> tokens) {
  const std::vector<int32_t> table = new_table(static_cast<int>(tokens.size()));
  std::vector<LogitRow> rows = run_chain(tokens, 0, table);
  free_blocks_.insert(free_blocks_.begin(), table.begin(), table.end());
  return rows;
}

std::vector<LogitRow> copy_rows(HostRows x) {
  std::vector<LogitRow> rows;
  for (int r = 0; r < x.rows; ++r) rows.emplace_back(x.row(r).begin(), x.row(r).end());
  return rows;
}

std::vector<Token> random_tokens(int count, int vocabulary, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<Token> tokens(static_cast<size_t>(count));
  for (Token& token : tokens)
    token = static_cast<Token>(random() % static_cast<uint64_t>(vocabulary));
  return tokens;
}

}  // namespace tessera
