#include "model/layers/norm.h"

namespace tessera {

void Norm::tell(TensorVisitor& visit, const Config& config, TensorRole weight, TensorRole bias,
                int length, TensorVisitor::Presence presence) {
  visit.vector({{weight, length}}, presence, weight_);
  if (config.architecture->norm == NormKind::kLayerNorm)
    visit.vector({{bias, length}}, TensorVisitor::Presence::kOptional, bias_);
}

void Norm::apply(Backend& backend, const Config& config, Tensor x, Tensor out) const {
  if (config.architecture->norm == NormKind::kLayerNorm) {
    backend.layer_norm(x, *weight_, bias_.get(), config.norm_epsilon, out);
  } else {
    backend.rms_norm(x, *weight_, config.norm_epsilon, out);
  }
}

}  // namespace tessera
