// One layer: what mixes positions, then what works on each alone.
#pragma once

#include "model/layers/attention.h"
#include "model/layers/feed_forward.h"
#include "model/layers/latent_attention.h"
#include "model/layers/mixture.h"

namespace tessera {

class Layer {
 public:
  // `config` must outlive it.
  Layer(const Config& config, int index, Workspace& workspace)
      : index_(index),
        is_parallel_(config.parallel_residual),
        attention_(make_attention(config, index, workspace)),
        feed_forward_(make_feed_forward(config, index, workspace)) {}

  void for_each_tensor(TensorVisitor& visit) {
    visit.enter(index_);
    attention_->for_each_tensor(visit);
    feed_forward_->for_each_tensor(visit);
  }
  // x, the residual stream: [rows, embedding].
  void forward(const Step& step, Tensor x) const {
    step.show(index_, TapPoint::kLayerInput, x);
    if (is_parallel_) feed_forward_->read(step, x);
    attention_->forward(step, x);
    feed_forward_->forward(step, x);
    step.show(index_, TapPoint::kLayerOutput, x);
  }

 private:
  static std::unique_ptr<Part> make_attention(const Config& config, int index,
                                              Workspace& workspace) {
    if (config.layers[index].latent.key_value > 0)
      return std::make_unique<LatentAttention>(config, index, workspace);
    return std::make_unique<Attention>(config, index, workspace);
  }
  static std::unique_ptr<Part> make_feed_forward(const Config& config, int index,
                                                 Workspace& workspace) {
    if (config.layers[index].experts.count > 0)
      return std::make_unique<Mixture>(config, index, workspace);
    return std::make_unique<FeedForward>(config, index, workspace);
  }

  int index_;
  bool is_parallel_;  // the feed-forward reads what attention reads
  std::unique_ptr<Part> attention_;
  std::unique_ptr<Part> feed_forward_;
};

}  // namespace tessera
