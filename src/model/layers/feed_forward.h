// The gated feed-forward network (GLU variants, Shazeer 2020).
//
//   x += norm(W_down (activation(W_gate h) * W_up h)), h = norm(x)
#pragma once

#include <memory>

#include "model/config.h"
#include "model/layers/part.h"

namespace tessera {

class FeedForward final : public Part {
 public:
  // `config` must outlive it.
  FeedForward(const Config& config, int layer, Workspace& workspace);

  void for_each_tensor(TensorVisitor& visit) override;
  void forward(const Step& step, Tensor x) const override;

 private:
  int width() const { return config_.layers[layer_].feed_forward; }

  const Config& config_;
  int layer_;
  std::unique_ptr<Vector> norm_;       // [embedding]
  std::unique_ptr<Vector> post_norm_;  // [embedding]; nullptr: none
  std::unique_ptr<Matrix> gate_up_;    // [2 feed_forward, embedding]: gate, then up: two parts
  std::unique_ptr<Matrix> down_;       // [embedding, feed_forward]
};

}  // namespace tessera
