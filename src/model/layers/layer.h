// One layer: what mixes positions, then what works on each alone.
#pragma once

#include "model/layers/attention.h"
#include "model/layers/feed_forward.h"

namespace tessera {

class Layer {
 public:
  // `config` must outlive it.
  Layer(const Config& config, int index, Workspace& workspace)
      : index_(index),
        is_parallel_(config.parallel_residual),
        attention_(config, index, workspace),
        feed_forward_(config, index, workspace) {}

  void for_each_tensor(TensorVisitor& visit) {
    visit.enter(index_);
    attention_.for_each_tensor(visit);
    feed_forward_.for_each_tensor(visit);
  }
  // x, the residual stream: [rows, embedding].
  void forward(const Step& step, Tensor x) const {
    step.show(index_, TapPoint::kLayerInput, x);
    if (is_parallel_) feed_forward_.read(step, x);
    attention_.forward(step, x);
    feed_forward_.forward(step, x);
    step.show(index_, TapPoint::kLayerOutput, x);
  }

 private:
  int index_;
  bool is_parallel_;  // the feed-forward reads what attention reads
  Attention attention_;
  FeedForward feed_forward_;
};

}  // namespace tessera
