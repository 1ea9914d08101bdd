// What errors in matrices do to the model's predictions.
//
// Pieces of text go through the model as it is, and beside it with errors in some matrices of one
// layer, again for the next layer, and so on: all of them layer by layer, so that one layer is in
// memory at a time and the disturbed ones begin where they differ. With logits l and l + d, the
// predictions p diverge by
//
//   KL(softmax(l) || softmax(l + d)) = Var_p(d) / 2 + terms of third order in d,
//
// which takes two sums and no exponential.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "model/layer_by_layer.h"

namespace tessera {

class Disturbance {
 public:
  // `pieces` of equal length, read from nothing. Both must outlive it.
  Disturbance(LayerByLayer& model, ThreadPool& pool, std::vector<std::vector<Token>> pieces);

  // A text of other embeddings; returns its number. Before the first layer.
  size_t disturb_embedding(const StoredTensor& instead);
  // Takes all texts through the layer that is loaded, as it is.
  void pass();
  // A text that is not disturbed yet, behind that layer; returns its number.
  size_t branch();
  // The same layer is loaded with an error: what that makes of the layer's output is added to text
  // number `text`. Returns the squares of it, summed up.
  double disturb(size_t text);

  // After the last layer, with the output loaded as it is: what the predictions are.
  void predict();
  // The mean divergence of text number `text`, in nats, by the output that is loaded; of the
  // undisturbed one without a number.
  double divergence(size_t text) { return divergence_of(texts_.at(text)); }
  double divergence() { return divergence_of(now_); }

 private:
  void forward(std::vector<float>& rows);
  // The logits of the scored rows, some at a time: use(number of the first, logits).
  template <typename Use>
  void for_scored(std::span<const float> rows, Use use);
  double divergence_of(std::span<const float> rows);

  LayerByLayer& model_;
  ThreadPool& pool_;
  std::vector<std::vector<Token>> pieces_;
  size_t embedding_, rows_;
  std::vector<float> now_, before_;  // [rows, embedding], of the undisturbed text
  std::vector<float> disturbed_;
  std::vector<std::vector<float>> texts_;  // the same of the disturbed ones
  std::vector<float> logits_, chances_;    // [scored rows, vocabulary], undisturbed
};

}  // namespace tessera
