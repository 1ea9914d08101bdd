// The layer behind a model's last that predicts one token further (multi-token prediction,
// DeepSeek-V3 2024, arXiv 2412.19437), as GLM 4.5, Qwen3-Next and Qwen 3.5 ship it, too: from the
// final hidden state of a token and the embedding of the one behind it, it foretells the next.
//
//   x = layer(W_p [norm(embed(token)), norm(hidden)]);  hidden' = norm(x);  logits = O hidden'
//
// What it makes of a hidden state is a hidden state again, so it can be asked on and on.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "model/model.h"

namespace tessera {

class NextTokens {
 public:
  // The first such layer of the model's checkpoint, on its backend; must not outlive the model.
  // Error if there is none.
  NextTokens(std::shared_ptr<const Checkpoint> checkpoint, Model& model);
  NextTokens(const NextTokens&) = delete;  // its layer refers to it
  NextTokens& operator=(const NextTokens&) = delete;

  static constexpr int kWanted = 64;  // rows whose logits are wanted, at most
  int rows() const { return model_.limits().rows; }
  std::unique_ptr<KvStore> make_kv(int blocks) const;

  struct Output {
    HostRows hidden;            // [wanted, embedding], valid until the next call
    std::vector<float> logits;  // [wanted, Model::logits()]
  };
  // Runs the batch, whose rows are the tokens behind those of `hidden`: final hidden states,
  // normalized, [rows, embedding] without gaps. At most kWanted of its rows are wanted.
  Output forward(const Batch& batch, std::span<const float> hidden, KvStore& kv);

  size_t weight_bytes() const { return weight_bytes_; }

 private:
  void load();

  std::shared_ptr<const Checkpoint> checkpoint_;
  Model& model_;
  Config config_;  // the model's, with one layer more
  int number_;     // of that layer
  std::optional<EmbeddingTable> embeddings_;
  Norm embedding_norm_, hidden_norm_;   // [embedding]
  std::unique_ptr<Matrix> projection_;  // [embedding, 2 embedding]
  std::optional<Layer> layer_;
  Norm output_norm_;                // [embedding]
  std::unique_ptr<Matrix> output_;  // [logits, embedding]; nullptr: the model's
  RopeTables ropes_;
  Workspace workspace_;
  Tensor joined_, residual_;         // of rows(): [2 embedding], [embedding]
  Tensor wanted_, hidden_, logits_;  // of kWanted rows
  std::vector<float> embedded_;
  size_t weight_bytes_ = 0;
};

}  // namespace tessera
