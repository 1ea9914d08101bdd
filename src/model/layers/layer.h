// One layer: what mixes positions, then what works on each alone.
#pragma once

#include "model/layers/attention.h"
#include "model/layers/dense_beside_experts.h"
#include "model/layers/feed_forward.h"
#include "model/layers/gated_delta_net.h"
#include "model/layers/latent_attention.h"
#include "model/layers/mixture.h"
#include "model/layers/per_layer_input.h"
#include "model/layers/short_convolution.h"
#include "model/layers/state_space.h"

namespace tessera {

class Layer {
 public:
  // `config` must outlive it.
  Layer(const Config& config, int index, Workspace& workspace)
      : config_(config),
        index_(index),
        is_parallel_(config.parallel_residual),
        attention_(make_mixer(config, index, workspace)),
        recurrence_(make_recurrence(config, index, workspace)),
        feed_forward_(make_feed_forward(config, index, workspace)) {
    if (config.per_layer_input > 0)
      per_layer_input_ = std::make_unique<PerLayerInput>(config, index, workspace);
  }

  void for_each_tensor(TensorVisitor& visit) {
    visit.enter(index_);
    if (attention_) attention_->for_each_tensor(visit);
    if (recurrence_) recurrence_->for_each_tensor(visit);
    if (feed_forward_) feed_forward_->for_each_tensor(visit);
    if (per_layer_input_) per_layer_input_->for_each_tensor(visit);
    if (config_.architecture->layer_scale)
      visit.values({TensorRole::kLayerScale, 1}, TensorVisitor::Presence::kOptional, scale_);
  }
  // x, the residual stream: [rows, embedding].
  void forward(const Step& step, Tensor x) const {
    step.show(index_, TapPoint::kLayerInput, x);
    if (is_parallel_) feed_forward_->read(step, x);
    if (recurrence_) recurrence_->read(step, x);
    if (attention_) attention_->forward(step, x);
    if (recurrence_) recurrence_->forward(step, x);
    if (feed_forward_) feed_forward_->forward(step, x);
    if (per_layer_input_) per_layer_input_->forward(step, x);
    if (!scale_.empty()) step.backend.scale_and_cap(scale_[0], 0, x);
    step.show(index_, TapPoint::kLayerOutput, x);
  }

 private:
  static std::unique_ptr<Part> make_mixer(const Config& config, int index, Workspace& workspace) {
    const RecurrentConfig& recurrent = config.layers[index].recurrent;
    switch (recurrent.beside ? RecurrentKind::kNone : recurrent.kind) {
      case RecurrentKind::kGatedDeltaNet:
        return std::make_unique<GatedDeltaNet>(config, index, workspace);
      case RecurrentKind::kStateSpace:
        return std::make_unique<StateSpace>(config, index, workspace);
      case RecurrentKind::kShortConvolution:
        return std::make_unique<ShortConvolution>(config, index, workspace);
      case RecurrentKind::kNone:
        break;
    }
    if (config.layers[index].heads == 0) return nullptr;
    if (config.layers[index].latent.key_value > 0)
      return std::make_unique<LatentAttention>(config, index, workspace);
    return std::make_unique<Attention>(config, index, workspace);
  }
  // Beside attention.
  static std::unique_ptr<Part> make_recurrence(const Config& config, int index,
                                               Workspace& workspace) {
    if (!config.layers[index].recurrent.beside) return nullptr;
    return std::make_unique<StateSpace>(config, index, workspace);
  }
  static std::unique_ptr<Part> make_feed_forward(const Config& config, int index,
                                                 Workspace& workspace) {
    if (config.layers[index].experts.count > 0 && config.architecture->experts_beside_dense)
      return std::make_unique<DenseBesideExperts>(config, index, workspace);
    if (config.layers[index].experts.count > 0)
      return std::make_unique<Mixture>(config, index, workspace);
    if (config.layers[index].feed_forward == 0) return nullptr;
    return std::make_unique<FeedForward>(config, index, workspace);
  }

  const Config& config_;
  int index_;
  bool is_parallel_;                       // the feed-forward reads what attention reads
  std::unique_ptr<Part> attention_;        // or a recurrence in its place,
  std::unique_ptr<Part> recurrence_;       // or both (Falcon-H1); nullptr: none
  std::unique_ptr<Part> feed_forward_;     // of some families' layers it is this or one of those
  std::unique_ptr<Part> per_layer_input_;  // nullptr: none
  std::vector<float> scale_;               // [1], of what the layer makes, or none
};

}  // namespace tessera
