// Multi-head latent attention (MLA, DeepSeek-V2, 2024), absorbed: what is kept of a token is one
// latent and one rotated key for all heads, and every head's queries are taken into the latent's
// space instead of the latent into each head's keys.
//
//   q   = W_q h, or W_q_up norm(W_q_down h)         by heads: [nope, rope]
//   [l, r] = W_kv_down h;  l = norm(l)              the latent, and the key that is rotated
//   q'  = [rope(q_rope), W_k_up q_nope],  k' = [rope(r), l]
//   x  += W_o (W_v_up attend(q', k', l))
#pragma once

#include <memory>
#include <vector>

#include "model/config.h"
#include "model/layers/part.h"

namespace tessera {

class LatentAttention final : public Part {
 public:
  // `config` must outlive it.
  LatentAttention(const Config& config, int layer, Workspace& workspace);

  void for_each_tensor(TensorVisitor& visit) override;
  void forward(const Step& step, Tensor x) const override;

 private:
  const LayerConfig& shape() const { return config_.layers[layer_]; }
  const LatentConfig& latent() const { return shape().latent; }
  Tensor queries(const Step& step, Tensor h) const;  // [rows, heads * latent().key]

  const Config& config_;
  int layer_;
  std::unique_ptr<Vector> norm_;  // [embedding]
  // Of queries by way of a latent of their own; without one, only query_up_, [.., embedding].
  std::unique_ptr<Matrix> query_down_;           // [latent().query, embedding]
  std::unique_ptr<Vector> query_norm_;           // [latent().query]
  std::unique_ptr<Matrix> query_up_;             // [heads * latent().key, latent().query]
  std::unique_ptr<Matrix> key_value_down_;       // [latent().key_value + latent().rope, embedding]
  std::unique_ptr<Vector> key_value_norm_;       // [latent().key_value]
  std::vector<std::unique_ptr<Matrix>> key_up_;  // of each head: [latent().key_value, nope]
  std::vector<std::unique_ptr<Matrix>> value_up_;  // [latent().value, latent().key_value]
  std::unique_ptr<Matrix> output_;                 // [embedding, heads * latent().value]
};

}  // namespace tessera
