// Medusa heads (Cai et al. 2024, arXiv 2401.10774) learned on a frozen model, quantized or not:
// from the hidden states of the forward pass that serves, so the heads meet what they were trained
// on.
//
//   h_k = x + SiLU(W_k x + b_k),  logits_k = O h_k,  loss = sum of 0.8^k -log p_k(token k + 2
//   behind)
//
// O is the model's own output matrix, so a head costs [embedding, embedding] and begins as a head
// that says what the model says (W = 0, b = 0).
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "model/loader.h"
#include "model/model.h"
#include "train/learned.h"
#include "train/objective.h"
#include "train/tape_backend.h"

namespace tessera::train {

// Learned::whole of `heads` heads with a block each.
Learned make_medusa_heads(int heads, int embedding);
// A GGUF file that MedusaHeads opens. Appears whole or not at all.
void save_medusa_heads(const Learned& learned, const std::filesystem::path& path);

class MedusaObjective final : public Objective {
 public:
  // `trunk`: the model of that checkpoint, as it serves, with room for whole examples. All stay
  // where they are for as long as this lives. Error for a model without logits.
  MedusaObjective(const Checkpoint& checkpoint, Model& trunk, ThreadPool& pool, Learned& learned);

  int heads() const { return heads_; }
  // Of a target, what all heads lose by it, weighed.
  double loss(std::span<const Example> examples) override;
  double differentiate(std::span<const Example> examples, float factor) override;

  struct Accuracy {
    double first = 0, five = 0;  // how often the token is a head's first, or among its first five
  };
  // Of each head; nothing where no example is long enough to judge it.
  std::vector<std::optional<Accuracy>> accuracies(std::span<const Example> examples);

 private:
  struct Targets;
  void load_heads();
  // The hidden state of each token, [rows, embedding], without gaps.
  std::vector<float> hidden_states(std::span<const Example> examples);
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
  Loader::Progress no_progress_;
  std::unique_ptr<Matrix> output_;
  std::unique_ptr<Vector> output_bias_;
  std::vector<std::unique_ptr<Matrix>> blocks_;  // of each head
  std::vector<std::unique_ptr<Vector>> biases_;
  Tensor states_, blocked_, logits_;  // of some rows
};

}  // namespace tessera::train
