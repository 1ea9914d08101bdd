// State-space layers (Mamba-2, Dao & Gu 2024, arXiv 2405.21060): a recurrence whose decay and rate
// follow from one step width a head and token.
//
//   z, u, step = W_in norm(x);  v, k, q = silu(convolve(u))   (x, B, C in the paper)
//   step = softplus(step + b),  decay = exp(a step)
//   x += W_o norm((recur(q, k, v, decay, step) + d v) * silu(z)),  the norm by groups
#pragma once

#include <memory>
#include <vector>

#include "model/config.h"
#include "model/layers/norm.h"
#include "model/layers/part.h"

namespace tessera {

class StateSpace final : public Part {
 public:
  // `config` must outlive it.
  StateSpace(const Config& config, int layer, Workspace& workspace);

  void for_each_tensor(TensorVisitor& visit) override;
  // Beside attention: computes what it adds, and keeps it until forward() adds it.
  void read(const Step& step, Tensor x) const override;
  void forward(const Step& step, Tensor x) const override;

 private:
  void answer(const Step& step, Tensor x, Tensor into) const;
  const RecurrentConfig& shape() const { return config_.layers[layer_].recurrent; }
  int input_columns() const { return shape().values() + shape().channels + shape().heads; }
  void find_steps(const Step& step, Tensor input, Tensor decays_and_steps) const;
  void skip(const Step& step, Tensor values, Tensor out) const;

  const Config& config_;
  int layer_;
  Norm norm_;                            // [embedding]
  std::unique_ptr<Matrix> input_;        // gate; values, keys, queries; steps: [.., embedding]
  std::unique_ptr<Vector> filter_;       // [taps, channels]
  std::unique_ptr<Vector> filter_bias_;  // [channels]; nullptr: none
  std::vector<float> decay_, step_bias_, skip_;  // [heads]
  // [values]; as many groups are normalized apart from each other as keys are shared by. nullptr
  // where no norm is stored.
  std::vector<std::unique_ptr<Vector>> group_norms_;
  std::unique_ptr<Matrix> output_;  // [embedding, values]
};

}  // namespace tessera
