// What predicts one token further (multi-token prediction, DeepSeek-V3 2024, arXiv 2412.19437; as a
// draft that is trained apart, EAGLE, Li et al. 2024, arXiv 2401.15077): a layer of the model's own
// kind behind its last one.
//
//   x = layer(W_p [norm(embed(token)), norm(hidden)]);  hidden' = norm(x)
#pragma once

#include <memory>

#include "model/config.h"
#include "model/layers/layer.h"
#include "model/layers/norm.h"

namespace tessera {

// The model's configuration with one layer more, which is as its last one that attends. Error for a
// model that has no such layer.
Config with_next_token_layer(const Config& config);

class NextTokenLayer {
 public:
  // The last layer of `config`, which must outlive it. `own_norm`: the norm behind it is its own,
  // not the model's.
  NextTokenLayer(const Config& config, bool own_norm, Workspace& workspace);

  int number() const { return number_; }
  // Of its own keys and values only: those of the layers before have no place in it.
  KvShape kv_shape(int blocks) const;
  void for_each_tensor(TensorVisitor& visit);

  // x [rows, embedding]. `joined` [rows, 2 embedding]: embeddings, and beside them hidden states;
  // both are normalized where they lie.
  void forward(const Step& step, Tensor joined, Tensor x) const;
  // hidden' = norm(x)
  void normalize(Backend& backend, Tensor x, Tensor hidden) const {
    output_norm_.apply(backend, config_, x, hidden);
  }

 private:
  const Config& config_;
  int number_;
  bool own_norm_;
  Norm embedding_norm_, hidden_norm_;   // [embedding]
  std::unique_ptr<Matrix> projection_;  // [embedding, 2 embedding]
  Layer layer_;
  Norm output_norm_;  // [embedding]
};

}  // namespace tessera
