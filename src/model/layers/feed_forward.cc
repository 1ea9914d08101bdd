#include "model/layers/feed_forward.h"

namespace tessera {

FeedForward::FeedForward(const Config& config, int layer, Workspace& workspace)
    : config_(config), layer_(layer) {
  workspace.reserve(Workspace::kHidden, config.embedding);
  workspace.reserve(Workspace::kGated, width());
}

void FeedForward::for_each_tensor(TensorVisitor& visit) {
  using enum TensorRole;
  const Architecture& family = *config_.architecture;
  const int embedding = config_.embedding, n = width();
  visit.vector({family.feed_forward_norm, embedding}, norm_);
  if (family.fused_gate_up) {
    visit.matrix("gate, up", {{kUp, 2 * n, 0, n}, {kUp, 2 * n, n, n}}, embedding, gate_up_);
  } else {
    visit.matrix("gate, up", {{kGate, n}, {kUp, n}}, embedding, gate_up_);
  }
  visit.matrix("down", {{kDown, embedding}}, n, down_);
  if (family.post_norms) visit.vector({kPostFeedForwardNorm, embedding}, post_norm_);
}

void FeedForward::forward(const Step& step, Tensor x) const {
  Backend& b = step.backend;
  const Tensor h = step.take(Workspace::kHidden, config_.embedding),
               gated = step.take(Workspace::kGated, width());
  b.rms_norm(x, *norm_, config_.norm_epsilon, h);
  step.show(layer_, TapPoint::kGateUpInput, h);
  step.linear_gated(*gate_up_, h, nullptr, config_.architecture->activation, gated);
  step.show(layer_, TapPoint::kDownInput, gated);
  step.linear(*down_, gated, nullptr, h);
  if (post_norm_ != nullptr) b.rms_norm(h, *post_norm_, config_.norm_epsilon, h);
  b.add(h, x);
}

}  // namespace tessera
