// Medusa heads (Cai et al. 2024, arXiv 2401.10774): from the final hidden state of a token, each
// says which token comes one further behind it than the head before; the first one, two behind.
//
//   h_k = block(...block(hidden)),  block(x) = x + SiLU(W x + b),  logits_k = O_k h_k
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "model/model.h"

namespace tessera {

class MedusaHeads {
 public:
  static constexpr int kRows = 8;   // hidden states that forward() takes at most
  static constexpr int kMost = 16;  // heads

  // For the hidden states of `model`, on its backend; must not outlive it. Where a head has no
  // output matrix, it takes the one that all share, or the model's. Error if the checkpoint holds
  // no heads, or heads of another shape.
  MedusaHeads(const Checkpoint& checkpoint, Model& model);

  int heads() const { return static_cast<int>(heads_.size()); }
  size_t weight_bytes() const { return weight_bytes_; }

  // `hidden`: final hidden states, normalized, [rows, embedding] without gaps. Returns the logits
  // of head k of row r in row k * rows + r, of the whole vocabulary: those of tokens that the heads
  // do not know are -infinity. Valid until the next call.
  HostRows forward(std::span<const float> hidden);

 private:
  struct Block {
    std::unique_ptr<Matrix> weight;
    std::unique_ptr<Vector> bias;  // null: none
  };
  struct Head {
    std::vector<Block> blocks;
    std::unique_ptr<Matrix> output;  // null: output_, or the model's
  };
  void read_token_map(const Checkpoint& checkpoint);
  void run_blocks(const Head& head, Tensor x);
  HostRows spread(HostRows logits);

  Model& model_;
  std::vector<Head> heads_;
  std::unique_ptr<Matrix> output_;
  std::vector<Token> tokens_;  // of the rows of an output; empty: the vocabulary's first
  int outputs_;                // its rows
  size_t weight_bytes_ = 0;
  Tensor states_, blocked_, logits_;
  std::vector<float> spread_;  // [heads * kRows, vocabulary], if they do not know all of it
};

}  // namespace tessera
