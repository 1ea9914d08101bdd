// A gated short convolution (LFM2, Liquid AI 2025): of a text it keeps a few inputs only.
//
//   b, c, u = W_in norm(x);  x += W_o (c * convolve(b * u))
#pragma once

#include <memory>

#include "model/config.h"
#include "model/layers/norm.h"
#include "model/layers/part.h"

namespace tessera {

class ShortConvolution final : public Part {
 public:
  // `config` must outlive it.
  ShortConvolution(const Config& config, int layer, Workspace& workspace);

  void for_each_tensor(TensorVisitor& visit) override;
  void forward(const Step& step, Tensor x) const override;

 private:
  const Config& config_;
  int layer_;
  Norm norm_;                       // [embedding]
  std::unique_ptr<Matrix> input_;   // [3 embedding, embedding]
  std::unique_ptr<Vector> filter_;  // [taps, embedding]
  std::unique_ptr<Matrix> output_;  // [embedding, embedding]
};

}  // namespace tessera
