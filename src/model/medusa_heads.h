// Medusa heads (Cai et al. 2024, arXiv 2401.10774): from the final hidden state of a token, each
// says which token comes one further behind it than the head before; the first one, two behind.
//
//   h_k = block(...block(hidden)),  block(x) = x + SiLU(W x + b),  logits_k = O_k h_k
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "model/model.h"
#include "model/token_map.h"

namespace tessera {

class MedusaHeads {
 public:
  static constexpr int kRows = 8;   // hidden states that forward() takes at most
  static constexpr int kMost = 16;  // heads
  static constexpr int kRanks = 6;  // of a head's guesses that are looked at
  // How often the token that came was a head's first, second, ... guess.
  using HitShares = std::array<float, kRanks>;

  // For the hidden states of `model`, on its backend; must not outlive it. Where a head has no
  // output matrix, it takes the one that all share, or the model's. Error if the checkpoint holds
  // no heads, or heads of another shape.
  MedusaHeads(const Checkpoint& checkpoint, Model& model);

  int heads() const { return static_cast<int>(heads_.size()); }
  // Of each head, as it was measured when they were trained; none: the file does not say.
  std::span<const HitShares> hit_shares() const { return hit_shares_; }
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
  void read_hit_shares(const Facts& facts);
  void run_blocks(const Head& head, Tensor x);

  Model& model_;
  std::vector<Head> heads_;
  std::unique_ptr<Matrix> output_;
  int outputs_;  // its rows
  std::optional<TokenMap> map_;
  std::vector<HitShares> hit_shares_;
  size_t weight_bytes_ = 0;
  Tensor states_, blocked_, logits_;
};

// Where a file says the shares, head by head and in parts of kWholeHitShare: whole numbers, since
// facts know no lists of others.
inline constexpr std::string_view kHitShares = "hit_shares";
inline constexpr int kWholeHitShare = 10000;

}  // namespace tessera
