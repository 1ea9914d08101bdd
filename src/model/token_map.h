// Which tokens the rows of an output matrix that drafts are, where it has not the whole vocabulary:
// the frequent ones do for drafting, and the matrix is most of what a draft costs (FR-Spec, Zhao et
// al. 2025, arXiv 2502.14856; vLLM's `token_map`).
#pragma once

#include <vector>

#include "base/host_tensor.h"
#include "base/token.h"
#include "checkpoint/checkpoint.h"

namespace tessera {

class TokenMap {
 public:
  // Of a matrix of so many rows. Without a map in the checkpoint they are the vocabulary's first.
  // Error for a map that has not one token for each row, or a token that the vocabulary has not.
  TokenMap(const Checkpoint& checkpoint, int rows, int vocabulary);

  // Logits [rows, vocabulary] of all tokens: -infinity of those that have no row. Valid until the
  // next call.
  HostRows spread(HostRows logits);

 private:
  int vocabulary_;
  bool knows_all_;             // in their order: there is nothing to spread
  std::vector<Token> tokens_;  // of the rows; empty: the vocabulary's first
  std::vector<float> spread_;
};

}  // namespace tessera
