// Medusa heads (Cai et al. 2024, arXiv 2401.10774) learned on a frozen model, quantized or not:
// from the hidden states of the forward pass that serves, so the heads meet what they were trained
// on.
//
//   h_k = x + SiLU(W_k x + b_k),  logits_k = O h_k,  loss = sum of 0.8^k -log p_k(token k + 2
//   behind)
//
// O is the model's own output matrix, or of it the rows of frequent tokens, so a head costs
// [embedding, embedding] and begins as a head that says what the model says (W = 0, b = 0). A
// target that O does not know does not count.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "model/medusa_heads.h"
#include "model/model.h"
#include "train/draft_file.h"
#include "train/draft_output.h"
#include "train/learned.h"
#include "train/objective.h"
#include "train/tape_backend.h"

namespace tessera::train {

// Learned::whole of `heads` heads with a block each.
Learned make_medusa_heads(int heads, int embedding);
// How often the token that came was a head's first, second, ... guess; nothing: not known.
using HitShares = std::optional<MedusaHeads::HitShares>;
// A GGUF file that MedusaHeads opens, with the rows that it brings of the model's output matrix,
// and the shares if they are known of each head. Appears whole or not at all.
void save_medusa_heads(const Learned& learned, const OutputRows& output,
                       std::span<const HitShares> shares, const std::filesystem::path& path);

// How often the token is among a head's first guesses.
double share_among(const MedusaHeads::HitShares& shares, int guesses);
// Tokens that a step gives with a tree of so many nodes, those of the likeliest paths, if heads are
// right independently of each other (the greedy trees of Cai et al. 2024).
double expected_tokens(std::span<const HitShares> heads, int nodes);

class MedusaObjective final : public Objective {
 public:
  // `trunk`: the model of that checkpoint, as it serves, with room for whole examples. All stay
  // where they are for as long as this lives. `tokens`: what the heads know, see DraftOutput. Error
  // for a model without logits.
  MedusaObjective(const Checkpoint& checkpoint, Model& trunk, ThreadPool& pool, Learned& learned,
                  std::vector<Token> tokens = {});

  int heads() const { return heads_; }
  // Of a target, what all heads lose by it, weighed.
  double loss(std::span<const Example> examples) override;
  double differentiate(std::span<const Example> examples, float factor) override;

  // Of each head; nothing where no example is long enough to judge it. A token that the heads do
  // not know counts as one that they did not say.
  std::vector<HitShares> hit_shares(std::span<const Example> examples);

 private:
  struct Targets;
  void load_heads();
  Targets targets_of(std::span<const Example> examples, int head) const;
  // Calls body(logits, targets of its rows) for some rows at a time, recorded if `records`.
  template <class Body>
  void for_logits(std::span<const float> states, const Targets& targets, int head, bool records,
                  Body body);
  double run(std::span<const Example> examples, const float* factor);

  Model& trunk_;
  ThreadPool& pool_;
  Learned& learned_;
  int heads_;
  TapeBackend backend_;
  DraftOutput output_;
  std::vector<std::unique_ptr<Matrix>> blocks_;  // of each head
  std::vector<std::unique_ptr<Vector>> biases_;
  Tensor states_, blocked_, logits_;  // of some rows
};

}  // namespace tessera::train
