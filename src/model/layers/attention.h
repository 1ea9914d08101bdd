// Multi-head attention with grouped keys and values (GQA, Ainslie et al. 2023), positions as
// rotations or as slopes of the scores, sliding windows, and the norms that families put around it.
//
//   x += norm(W_o (attend(rope(norm(W_q h)), rope(norm(W_k h)), W_v h) * sigmoid(W_g h))),
//   h = norm(x);  x = norm(x)
//
// Each norm is in some families only, as is the gate, and no layer need rotate. In some models
// layers have no keys and values of their own, or values that are keys before these are normalized
// and rotated.
#pragma once

#include <memory>

#include "model/config.h"
#include "model/layers/norm.h"
#include "model/layers/part.h"

namespace tessera {

class Attention final : public Part {
 public:
  // `config` must outlive it.
  Attention(const Config& config, int layer, Workspace& workspace);

  void for_each_tensor(TensorVisitor& visit) override;
  void forward(const Step& step, Tensor x) const override;

 private:
  const LayerConfig& shape() const { return config_.layers[layer_]; }
  int qkv_columns() const {
    const int q = shape().q_columns(), gate = config_.architecture->output_gate ? q : 0;
    return q + 2 * shape().kv_columns() + gate;
  }
  AttentionParameters parameters() const;
  void tell_projections(TensorVisitor& visit);
  void tell_heads(TensorVisitor& visit, TensorRole role, int heads,
                  std::vector<std::vector<float>>& into);
  void normalize(Backend& b, Tensor q, Tensor k, Tensor v) const;
  void normalize_heads(Backend& b, const std::vector<std::vector<float>>& weights, Tensor x) const;
  void rotate(const Step& step, Tensor q, Tensor k) const;
  void show_value_inputs(const Step& step, const Tap& tap, Tensor h, Tensor q, Tensor k) const;

  const Config& config_;
  int layer_;
  std::vector<float> slopes_;  // ALiBi's, of each query head; empty: none
  Norm norm_, post_norm_;      // [embedding]
  Norm residual_norm_;         // [embedding], of what attention has added to
  Norm q_norm_, k_norm_;       // [head_dim], or of all heads together
  // [heads][head_dim], of LayerNorm; none: there are none.
  std::vector<std::vector<float>> q_heads_, k_heads_;
  std::unique_ptr<Vector> value_norm_;  // [head_dim], of ones; nullptr: none
  std::unique_ptr<Vector> unit_norm_;   // the same, of rotated queries and keys
  std::unique_ptr<Matrix> qkv_;         // [(heads + 2 kv_heads) * head_dim, embedding], gates
                                        // behind; or of it what the layer has
  std::unique_ptr<Vector> qkv_bias_;    // nullptr: none
  std::unique_ptr<Matrix> output_;      // [embedding, heads * head_dim]
  std::unique_ptr<Vector> output_bias_;
  std::unique_ptr<Vector> sinks_;  // [heads]; nullptr: none
};

}  // namespace tessera
