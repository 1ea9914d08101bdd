// The feed-forward network, with a gate (GLU variants, Shazeer 2020) or without.
//
//   x += norm(W_down (activation(W_gate h) * W_up h)), h = norm(x)
//   x += norm(W_down activation(W_up h))
//
// Behind that, x = norm(x) in some families.
#pragma once

#include <memory>

#include "model/config.h"
#include "model/layers/norm.h"
#include "model/layers/part.h"

namespace tessera {

class FeedForward final : public Part {
 public:
  // `config` must outlive it.
  FeedForward(const Config& config, int layer, Workspace& workspace,
              TensorRole post_norm = TensorRole::kPostFeedForwardNorm);

  void for_each_tensor(TensorVisitor& visit) override;
  void forward(const Step& step, Tensor x) const override;
  void read(const Step& step, Tensor x) const override;
  // out = what forward() adds to x. Works in Workspace::kHidden, which may be `out`.
  void answer(const Step& step, Tensor x, Tensor out) const;

 private:
  int width() const { return config_.layers[layer_].feed_forward; }

  const Config& config_;
  int layer_;
  TensorRole post_norm_role_;
  Norm norm_, post_norm_;            // [embedding]
  Norm residual_norm_;               // [embedding], of what the network has added to
  std::unique_ptr<Matrix> up_;       // [feed_forward, embedding]; gated: gate, then up, two parts
  std::unique_ptr<Vector> up_bias_;  // of one without a gate; nullptr: none
  std::unique_ptr<Matrix> down_;     // [embedding, feed_forward]
  std::unique_ptr<Vector> down_bias_;
};

}  // namespace tessera
