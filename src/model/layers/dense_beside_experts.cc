#include "model/layers/dense_beside_experts.h"

namespace tessera {

DenseBesideExperts::DenseBesideExperts(const Config& config, int layer, Workspace& workspace)
    : config_(config),
      dense_(config, layer, workspace, TensorRole::kPostDenseNorm),
      experts_(config, layer, workspace) {
  workspace.reserve(Workspace::kParallel, config.embedding);
}

void DenseBesideExperts::for_each_tensor(TensorVisitor& visit) {
  dense_.for_each_tensor(visit);
  experts_.for_each_tensor(visit);
  experts_norm_.tell(visit, TensorRole::kPostExpertsNorm, config_.embedding);
  post_norm_.tell(visit, TensorRole::kPostFeedForwardNorm, config_.embedding);
}

void DenseBesideExperts::forward(const Step& step, Tensor x) const {
  Backend& b = step.backend;
  const Tensor dense = step.take(Workspace::kParallel, config_.embedding);
  dense_.answer(step, x, dense);
  const Tensor sum = experts_.answer(step, x);
  experts_norm_.apply(b, config_, sum, sum);
  b.add(dense, sum);
  post_norm_.apply(b, config_, sum, sum);
  b.add(sum, x);
}

}  // namespace tessera
