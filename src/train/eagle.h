// A draft of one layer (EAGLE, Li et al. 2024, arXiv 2401.15077) learned on a frozen model,
// quantized or not, from the hidden states of the forward pass that serves. It is a layer for
// further tokens (model/next_token_layer.h), made of the model's last one:
//
//   h_t = norm(layer(W_p [norm(embed(token t + 1)), norm(f_t)])),  which is to be f_t+1
//   loss = c * KL(softmax(O f_t+1) || softmax(O h_t)) + r * smooth L1(h_t - f_t+1)
//
// f: the model's final hidden states. O: its own output matrix, or the rows of frequent tokens in
// it. The paper's weights are c = 0.1 and r = 1.
//
// Asked on and on, a draft reads what it made itself. So it may be trained on that, too: in a
// further pass, f_t is the h_t-1 of the pass before (HASS, Zhang et al. 2024, arXiv 2408.15766; the
// training-time test of EAGLE-3, Li et al. 2025, arXiv 2503.01840; here all of the text, not only
// its end, is of such states, and nothing goes back through them).
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "model/embedding_table.h"
#include "model/model.h"
#include "model/next_token_layer.h"
#include "train/draft_file.h"
#include "train/draft_output.h"
#include "train/learned.h"
#include "train/objective.h"
#include "train/tape_backend.h"

namespace tessera::train {

// Learned::whole of such a layer: copied from the model's last, behind a projection that lets the
// hidden state through as the residual stream that it was made of, but of length 1: what the layer
// adds is as much smaller, by what is measured on `sample`. So a step's changes of the projection
// tell, as which they would not beside a long stream. Error for a model whose layers cannot be
// trained.
Learned make_eagle_draft(const Checkpoint& checkpoint, Model& trunk, const Example& sample);
// A GGUF file that NextTokens opens, with the rows that it brings of the model's output matrix.
// Appears whole or not at all.
void save_eagle_draft(const Learned& learned, const Config& model, OutputRows output,
                      const std::filesystem::path& path);

struct EagleOptions {
  double classification = 0.1, regression = 1;
  int passes = 1;
};

class EagleObjective final : public Objective {
 public:
  // As MedusaObjective. `rows`: of a step, at most.
  EagleObjective(const Checkpoint& checkpoint, Model& trunk, ThreadPool& pool, Learned& learned,
                 std::vector<Token> tokens, EagleOptions options, int rows);
  EagleObjective(const EagleObjective&) = delete;  // its layer refers to it
  EagleObjective& operator=(const EagleObjective&) = delete;

  // Of a target, what all passes lose by it, weighed.
  double loss(std::span<const Example> examples) override { return run(examples, nullptr); }
  double differentiate(std::span<const Example> examples, float factor) override {
    return run(examples, &factor);
  }

  // How often the token that comes is its first guess: asked once, twice, ... Of a text's own
  // tokens, whatever was guessed before. Nothing where nothing can be judged.
  std::vector<std::optional<double>> accuracies(std::span<const Example> examples, int times);

 private:
  struct Rows;
  void load_layer();
  void forward(const Rows& rows, std::span<const float> states, bool records);
  Tensor gather(const Rows& rows, size_t first, HostRows from, Tensor into);
  double lose(const Rows& rows, const float* factor);
  double lose_features(const Rows& rows, size_t first, HostRows made, const float* factor,
                       HostTensor adjoint) const;
  double run(std::span<const Example> examples, const float* factor);

  const Checkpoint& checkpoint_;
  Model& trunk_;
  ThreadPool& pool_;
  Learned& learned_;
  const EagleOptions options_;
  const Config config_;  // the model's, with one layer more
  TapeBackend layer_tape_, output_tape_;
  DraftOutput output_;
  EmbeddingTable embeddings_;
  Workspace workspace_;
  RopeTables ropes_;
  std::unique_ptr<KvStore> kv_;
  std::optional<NextTokenLayer> layer_;
  Tensor joined_, residual_, made_;  // of all rows: [2 embedding], [embedding]
  Tensor some_, wanted_;             // of some rows whose logits are computed together
  Tensor logits_, wanted_logits_;
};

}  // namespace tessera::train
