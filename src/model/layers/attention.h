// Multi-head attention with grouped keys and values (GQA, Ainslie et al. 2023), rotary positions,
// sliding windows, and the norms that families put around it.
//
//   x += norm(W_o attend(rope(norm(W_q h)), rope(norm(W_k h)), W_v h)), h = norm(x)
#pragma once

#include <memory>
#include <vector>

#include "model/config.h"
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

  const Config& config_;
  int layer_;
  std::vector<float> norm_;             // [embedding]
  std::vector<float> post_norm_;        // [embedding]; empty: none
  std::vector<float> q_norm_, k_norm_;  // [head_dim]; empty: none
  std::unique_ptr<Matrix> qkv_;         // [(heads + 2 kv_heads) * head_dim, embedding]
  std::vector<float> qkv_bias_;         // empty: none
  std::unique_ptr<Matrix> output_;      // [embedding, heads * head_dim]
  std::vector<float> output_bias_;      // empty: none
};

}  // namespace tessera
