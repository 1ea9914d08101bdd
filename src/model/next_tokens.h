// The layer behind a model's last that predicts one token further: its own, as GLM 4.5, DeepSeek
// V3, Qwen3-Next and Qwen 3.5 ship it, or one that was trained for it and lies in a file beside it
// (EAGLE). From the final hidden state of a token and the embedding of the one behind it, it
// foretells the next.
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
#include "model/next_token_layer.h"
#include "model/token_map.h"

namespace tessera {

class NextTokens {
 public:
  // The first such layer of the model's checkpoint, on its backend; must not outlive the model.
  // Error if there is none.
  NextTokens(std::shared_ptr<const Checkpoint> checkpoint, Model& model);
  // The layer in another file, with the model's embeddings. Its output matrix may know some tokens
  // only, which a map then names, or be the model's. Error for a file that holds none, or one that
  // was trained for a model of another kind or shape.
  NextTokens(std::shared_ptr<const Checkpoint> checkpoint, Model& model,
             std::shared_ptr<const Checkpoint> apart);
  NextTokens(const NextTokens&) = delete;  // its layer refers to it
  NextTokens& operator=(const NextTokens&) = delete;

  static constexpr int kWanted = 64;  // rows whose logits are wanted, at most
  int rows() const { return model_.limits().rows; }
  std::unique_ptr<KvStore> make_kv(int blocks) const;

  struct Output {
    HostRows hidden;            // [wanted, embedding], valid until the next call
    std::vector<float> logits;  // [wanted, Model::logits()], or the vocabulary with a map
  };
  // Runs the batch, whose rows are the tokens behind those of `hidden`: final hidden states,
  // normalized, [rows, embedding] without gaps. At most kWanted of its rows are wanted.
  Output forward(const Batch& batch, std::span<const float> hidden, KvStore& kv);

  size_t weight_bytes() const { return weight_bytes_; }

 private:
  void load(const Checkpoint& file);
  void load_output(Loader& loader, const Checkpoint& file);
  void allocate();

  std::shared_ptr<const Checkpoint> checkpoint_, apart_;
  Model& model_;
  Config config_;  // the model's, with one layer more
  Workspace workspace_;
  NextTokenLayer layer_;
  std::optional<EmbeddingTable> embeddings_;
  std::unique_ptr<Matrix> output_;  // [logits, embedding]; nullptr: the model's
  std::optional<TokenMap> map_;     // of output_, if the layer lies in a file of its own
  RopeTables ropes_;
  Tensor joined_, residual_;         // of rows(): [2 embedding], [embedding]
  Tensor wanted_, hidden_, logits_;  // of kWanted rows
  std::vector<float> embedded_;
  size_t weight_bytes_ = 0;
};

// What the facts of such a file say of the model that it is for, which it must be like.
inline constexpr std::string_view kDraftLayerArchitecture = "eagle";
inline constexpr std::string_view kDraftLayerBase = "base_architecture";

}  // namespace tessera
