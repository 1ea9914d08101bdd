#include "model/layers/short_convolution.h"

namespace tessera {

ShortConvolution::ShortConvolution(const Config& config, int layer, Workspace& workspace)
    : config_(config), layer_(layer) {
  workspace.reserve(Workspace::kHidden, config.embedding);
  workspace.reserve(Workspace::kQkv, 3 * config.embedding);
  workspace.reserve(Workspace::kConvolved, config.embedding);
}

void ShortConvolution::for_each_tensor(TensorVisitor& visit) {
  using enum TensorRole;
  const int n = config_.embedding, taps = config_.layers[layer_].recurrent.taps;
  norm_.tell(visit, config_, kAttentionNorm, kAttentionNormBias, n);
  visit.matrix("convolution input", {{kConvolutionInput, 3 * n}}, n, input_);
  visit.filter({kConvolutionFilter, n}, taps, filter_);
  visit.matrix("convolution output", {{kConvolutionOutput, n}}, n, output_);
}

void ShortConvolution::forward(const Step& step, Tensor x) const {
  Backend& b = step.backend;
  const int n = config_.embedding;
  const Tensor h = step.take(Workspace::kHidden, n), input = step.take(Workspace::kQkv, 3 * n),
               convolved = step.take(Workspace::kConvolved, n);
  norm_.apply(b, config_, x, h);
  step.show(layer_, TapPoint::kQkvInput, h);
  step.linear(*input_, h, nullptr, input);
  const Tensor first = input.slice(0, n), second = input.slice(n, n), u = input.slice(2 * n, n);
  b.gate(Activation::kIdentity, first, u);
  b.convolve(step.kv, layer_, *filter_, nullptr, step.rows, u, convolved);
  b.gate(Activation::kIdentity, second, convolved);
  step.show(layer_, TapPoint::kOutputInput, convolved);
  step.linear(*output_, convolved, nullptr, h);
  b.add(h, x);
}

}  // namespace tessera
