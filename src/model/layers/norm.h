// What normalizes activations: RMSNorm (Zhang & Sennrich 2019), or LayerNorm (Ba et al. 2016) with
// a bias or without one, as the architecture says.
#pragma once

#include <memory>

#include "model/config.h"
#include "model/tensors.h"

namespace tessera {

class Norm {
 public:
  // Tells of its weight [length] and, of a LayerNorm, of its bias where one is stored.
  void tell(TensorVisitor& visit, const Config& config, TensorRole weight, TensorRole bias,
            int length, TensorVisitor::Presence presence = TensorVisitor::Presence::kRequired);
  // Of one that never has a bias.
  void tell(TensorVisitor& visit, TensorRole weight, int length) {
    visit.vector({weight, length}, weight_);
  }
  // Has it been told of, that is: is there one?
  explicit operator bool() const { return weight_ != nullptr; }
  // out = norm(x). RMSNorm cuts rows into groups of its length, each normalized alone.
  void apply(Backend& backend, const Config& config, Tensor x, Tensor out) const;

 private:
  std::unique_ptr<Vector> weight_;
  std::unique_ptr<Vector> bias_;  // nullptr: none
};

}  // namespace tessera
