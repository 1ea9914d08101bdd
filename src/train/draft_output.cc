#include "train/draft_output.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "model/loader.h"
#include "train/row_ranges.h"

namespace tessera::train {
namespace {

TensorRole role_of_output(const Checkpoint& model) {
  return model.find({TensorRole::kOutput}) == nullptr ? TensorRole::kTokenEmbedding
                                                      : TensorRole::kOutput;
}

}  // namespace

std::vector<Token> frequent_tokens(std::span<const Example> examples, int vocabulary, int count,
                                   std::span<const Token> kept) {
  if (count == 0 || count >= vocabulary) return {};
  std::vector<int64_t> times(wide(vocabulary));
  for (const Example& example : examples) {
    for (const Token target : example.targets) {
      if (target != kNothing) ++times[wide(target)];
    }
  }
  for (const Token token : kept) times[wide(token)] = std::numeric_limits<int64_t>::max();
  std::vector<Token> tokens(wide(vocabulary));
  std::iota(tokens.begin(), tokens.end(), 0);
  std::ranges::stable_sort(tokens, std::ranges::greater(),
                           [&](Token token) { return times[wide(token)]; });
  tokens.resize(wide(count));
  std::ranges::sort(tokens);
  return tokens;
}

std::vector<float> output_rows(const Checkpoint& model, std::span<const Token> tokens,
                               float scale) {
  const StoredTensor& stored = model.require({role_of_output(model)});
  const size_t columns = stored.columns();
  std::vector<float> rows(tokens.size() * columns);
  for (size_t i = 0; i < tokens.size(); ++i) {
    const auto row = std::span(rows).subspan(i * columns, columns);
    stored.decode(static_cast<uint64_t>(tokens[i]), 1, row);
    for (float& value : row) value *= scale;
  }
  return rows;
}

DraftOutput::DraftOutput(const Checkpoint& model, const Config& config, std::vector<Token> tokens,
                         TapeBackend& backend)
    : backend_(backend), config_(config), tokens_(std::move(tokens)) {
  if (tokens_.empty()) {
    const Loader::Progress no_progress;
    Loader loader(model, backend, no_progress);
    loader.enter(kNoLayer);
    loader.matrix("logits", {{role_of_output(model), config.vocabulary}}, config.embedding,
                  matrix_);
    loader.vector({{TensorRole::kOutputBias, config.vocabulary}},
                  TensorVisitor::Presence::kOptional, bias_);
    return;
  }
  if (model.find({TensorRole::kOutputBias}) != nullptr)
    fail("drafts know all tokens of a model whose output matrix has a bias (--vocabulary 0)");
  const std::vector<float> rows = output_rows(model, tokens_, 1);
  const Backend::WeightPart part{.format = &kF32,
                                 .bytes = std::as_bytes(std::span(rows)),
                                 .rows = static_cast<int>(tokens_.size())};
  matrix_ = backend.load_matrix(std::span(&part, 1), config.embedding);
}

Token DraftOutput::row_of(Token token) const {
  if (tokens_.empty()) return token;
  const auto found = std::ranges::lower_bound(tokens_, token);
  if (found == tokens_.end() || *found != token) return kNothing;
  return static_cast<Token>(found - tokens_.begin());
}

void DraftOutput::project(Tensor hidden, Tensor logits) const {
  backend_.linear(*matrix_, hidden, bias_.get(), logits);
  if (config_.final_soft_cap > 0 || config_.logit_scale != 1)
    backend_.scale_and_cap(config_.logit_scale, config_.final_soft_cap, logits);
}

}  // namespace tessera::train
