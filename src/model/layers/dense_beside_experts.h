// A feed-forward network and a mixture of experts that read the same stream (Gemma 4, 2026), each
// through a norm of its own, and add up.
//
//   x += norm(norm(dense(norm(x))) + norm(experts(norm(x))))
#pragma once

#include "model/config.h"
#include "model/layers/feed_forward.h"
#include "model/layers/mixture.h"
#include "model/layers/norm.h"
#include "model/layers/part.h"

namespace tessera {

class DenseBesideExperts final : public Part {
 public:
  // `config` must outlive it.
  DenseBesideExperts(const Config& config, int layer, Workspace& workspace);

  void for_each_tensor(TensorVisitor& visit) override;
  void forward(const Step& step, Tensor x) const override;

 private:
  const Config& config_;
  FeedForward dense_;  // with the norm of its answer
  Mixture experts_;
  Norm experts_norm_, post_norm_;  // [embedding]: of the experts' answer, and of both answers' sum
};

}  // namespace tessera
