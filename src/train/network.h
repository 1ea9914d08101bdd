// A model as it is trained: its layers pass through memory one at a time, first to last and then
// back, decoded to f32 from whatever the checkpoint stores. Of each layer only what it read is
// kept; what it computed it computes again on the way back (activation checkpointing, Chen et al.
// 2016). So a quantized model is trained in not much more memory than its file (QLoRA, Dettmers et
// al. 2023), and rows cost what one layer makes of them.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "model/config.h"
#include "model/embedding_table.h"
#include "model/layers/layer.h"
#include "model/loader.h"
#include "train/example.h"
#include "train/learned.h"
#include "train/loss.h"
#include "train/objective.h"
#include "train/tape_backend.h"

namespace tessera::train {

class Network final : public Objective {
 public:
  // `rows`: of a step, at most. `learned` stays where it is for as long as this lives. `loss`: what
  // rows lose; nullptr: -log p(target). Error for a model that cannot be trained yet, which names
  // what there is no way back through.
  Network(std::shared_ptr<const Checkpoint> checkpoint, ThreadPool& pool, int rows,
          Learned& learned, std::unique_ptr<Loss> loss = nullptr);
  Network(const Network&) = delete;  // its parts refer to it
  Network& operator=(const Network&) = delete;

  const Config& config() const { return config_; }
  const Checkpoint& checkpoint() const { return *checkpoint_; }

  // Error for an example that is longer than the model's context, or has a token that is none of
  // the model's.
  double loss(std::span<const Example> examples) override { return run(examples, nullptr); }
  double differentiate(std::span<const Example> examples, float factor) override {
    return run(examples, &factor);
  }

 private:
  struct Rows;  // of the examples, as layers see them

  double run(std::span<const Example> examples, const float* factor);
  void load_ends();
  void load_layer(int layer);
  void embed(const Rows& rows, std::vector<float>& x);
  void forward(const Rows& rows, std::vector<float>& x);
  void back(const Rows& rows, const std::vector<float>& x, std::vector<float>& dx);
  void embed_back(const Rows& rows, std::vector<float>& dx);
  double head(const Rows& rows, const std::vector<float>& x, const float* factor,
              std::vector<float>& dx);
  Loader loader();
  void check(std::span<const Example> examples) const;
  void learn_whole();
  int first_learned_layer() const;

  std::shared_ptr<const Checkpoint> checkpoint_;
  TapeBackend backend_;
  ThreadPool& pool_;
  Learned& learned_;
  std::unique_ptr<Loss> loss_;
  std::map<TensorPlace, StoredTensor> whole_;  // learned_.whole, as if it were stored
  Loader::Progress no_progress_;
  Config config_;

  Norm embedding_norm_, output_norm_;
  Workspace workspace_;
  RopeTables ropes_;
  std::unique_ptr<KvStore> kv_;
  std::optional<Layer> layer_;  // the one that is loaded,
  int loaded_ = -1;             // and its number
  std::unique_ptr<Matrix> output_;
  std::unique_ptr<Vector> output_bias_;
  Tensor residual_;                         // [rows, embedding]
  Tensor last_, normalized_, logits_;       // of some rows whose logits are computed together
  std::vector<std::vector<float>> inputs_;  // of each layer, [rows, embedding]
};

// Error if training has no way back through a part of such a model.
void require_trainable(const Checkpoint& model, const Config& config);

}  // namespace tessera::train
