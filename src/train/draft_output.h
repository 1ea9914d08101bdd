// The output matrix that drafts are trained with: the model's own, or of it the rows of the tokens
// that are frequent. Drafts that never say the others miss little, and the matrix is most of what
// they cost, trained and asked (FR-Spec, Zhao et al. 2025, arXiv 2502.14856).
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "model/config.h"
#include "train/data.h"
#include "train/tape_backend.h"

namespace tessera::train {

// The `count` tokens that are targets most often, of equals the first; those of `kept` whatever
// they are. In their order. Nothing if that would be all of the vocabulary, or count is 0.
std::vector<Token> frequent_tokens(std::span<const Example> examples, int vocabulary, int count,
                                   std::span<const Token> kept);

class DraftOutput {
 public:
  // `tokens`: those that it knows, in their order; empty: all. All but these stay where they are
  // for as long as this lives. Error for some tokens of a model whose output has a bias, since what
  // is written has none.
  DraftOutput(const Checkpoint& model, const Config& config, std::vector<Token> tokens,
              TapeBackend& backend);

  int rows() const { return matrix_->rows; }
  // Nothing: all.
  std::span<const Token> tokens() const { return tokens_; }
  // kNothing for one that it does not know.
  Token row_of(Token token) const;
  // hidden [rows, embedding], normalized; logits [rows, rows()].
  void project(Tensor hidden, Tensor logits) const;

 private:
  TapeBackend& backend_;
  const Config& config_;
  std::vector<Token> tokens_;
  std::unique_ptr<Matrix> matrix_;
  std::unique_ptr<Vector> bias_;
};

// Rows of the model's output matrix, times what it scales logits by: [tokens.size(), embedding].
std::vector<float> output_rows(const Checkpoint& model, std::span<const Token> tokens, float scale);

}  // namespace tessera::train
