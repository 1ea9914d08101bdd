// Gated delta networks (Yang et al. 2024, arXiv 2412.06464), as in Qwen3-Next and Qwen3.5: linear
// attention whose memory is one matrix a head. A token writes what the matrix does not say of its
// key yet, and all that is remembered fades by a factor of the token's own.
//
//   q, k, v = silu(convolve(W_qkv h)), q and k of length 1 (q over sqrt(key_dim)), h = norm(x)
//   decay = exp(a softplus(W_step h + b)),  rate = sigmoid(W_rate h)
//   x += W_o (norm(recur(q, k, v, decay, rate)) * silu(W_gate h))
#pragma once

#include <memory>
#include <vector>

#include "model/config.h"
#include "model/layers/norm.h"
#include "model/layers/part.h"

namespace tessera {

class GatedDeltaNet final : public Part {
 public:
  // `config` must outlive it.
  GatedDeltaNet(const Config& config, int layer, Workspace& workspace);

  void for_each_tensor(TensorVisitor& visit) override;
  void forward(const Step& step, Tensor x) const override;

 private:
  const RecurrentConfig& shape() const { return config_.layers[layer_].recurrent; }
  int input_columns() const { return shape().channels + shape().values() + 2 * shape().heads; }
  void find_decays(const Step& step, Tensor input, Tensor decays_and_rates) const;

  const Config& config_;
  int layer_;
  Norm norm_;                       // [embedding]
  std::unique_ptr<Matrix> input_;   // queries, keys, values; gate; rates; steps: [.., embedding]
  std::unique_ptr<Vector> filter_;  // [taps, channels]
  std::vector<float> decay_, step_bias_;  // [heads]
  // Make queries and keys as long as they are to be; [key_dim].
  std::unique_ptr<Vector> query_length_, key_length_;
  std::unique_ptr<Vector> head_norm_;  // [value_dim]
  std::unique_ptr<Matrix> output_;     // [embedding, values]
};

}  // namespace tessera
