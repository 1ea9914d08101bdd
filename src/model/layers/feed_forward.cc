#include "model/layers/feed_forward.h"

namespace tessera {

FeedForward::FeedForward(const Config& config, int layer, Workspace& workspace,
                         TensorRole post_norm)
    : config_(config), layer_(layer), post_norm_role_(post_norm) {
  workspace.reserve(Workspace::kHidden, config.embedding);
  workspace.reserve(Workspace::kGated, width());
  if (config.parallel_residual) workspace.reserve(Workspace::kParallel, config.embedding);
}

void FeedForward::for_each_tensor(TensorVisitor& visit) {
  using enum TensorRole;
  using enum TensorVisitor::Presence;
  const Architecture& family = *config_.architecture;
  const int embedding = config_.embedding, n = width();
  if (config_.shared_norm || family.pre_norms) {
    const auto [weight, bias] = config_.feed_forward_norm;
    norm_.tell(visit, config_, weight, bias, embedding);
  }
  if (!family.gated) {
    visit.matrix("up", {{kUp, n}}, embedding, up_);
    visit.vector({{kUpBias, n}}, kOptional, up_bias_);
  } else if (family.fused_gate_up) {
    visit.matrix("gate, up", {{kUp, 2 * n, 0, n}, {kUp, 2 * n, n, n}}, embedding, up_);
  } else {
    visit.matrix("gate, up", {{kGate, n}, {kUp, n}}, embedding, up_);
  }
  visit.matrix("down", {{kDown, embedding}}, n, down_);
  if (!family.gated) visit.vector({{kDownBias, embedding}}, kOptional, down_bias_);
  if (family.post_norms) post_norm_.tell(visit, post_norm_role_, embedding);
  if (family.residual_norms)
    residual_norm_.tell(visit, config_, kLayerOutputNorm, kLayerOutputNormBias, embedding);
}

void FeedForward::read(const Step& step, Tensor x) const {
  norm_.apply(step.backend, config_, x, step.take(Workspace::kParallel, config_.embedding));
}

void FeedForward::forward(const Step& step, Tensor x) const {
  const Tensor h = step.take(Workspace::kHidden, config_.embedding);
  answer(step, x, h);
  step.backend.add(h, x);
  if (residual_norm_) residual_norm_.apply(step.backend, config_, x, x);
}

void FeedForward::answer(const Step& step, Tensor x, Tensor out) const {
  Backend& b = step.backend;
  const Activation activation = config_.architecture->activation;
  const Tensor h = step.take(Workspace::kHidden, config_.embedding),
               inner = step.take(Workspace::kGated, width());
  Tensor input = x;
  if (config_.parallel_residual) {
    input = step.take(Workspace::kParallel, config_.embedding);
  } else if (norm_) {
    norm_.apply(b, config_, x, h);
    input = h;
  }
  step.show(layer_, TapPoint::kGateUpInput, input);
  if (config_.architecture->gated) {
    step.linear_gated(*up_, input, nullptr, activation, inner);
  } else {
    step.linear(*up_, input, up_bias_.get(), inner);
    b.activate(activation, inner);
  }
  step.show(layer_, TapPoint::kDownInput, inner);
  step.linear(*down_, inner, down_bias_.get(), out);
  if (post_norm_) post_norm_.apply(b, config_, out, out);
  if (config_.residual_scale != 1) b.scale_and_cap(config_.residual_scale, 0, out);
}

}  // namespace tessera
