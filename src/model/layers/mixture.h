// A feed-forward network of many, of which each row visits a few (sparsely-gated mixture of
// experts, Shazeer et al. 2017; Mixtral, Jiang et al. 2024; with a shared expert, DeepSeekMoE, Dai
// et al. 2024).
//
//   x += sum_e weight_e W_down_e (activation(W_gate_e h) * W_up_e h) + shared(h), h = norm(x)
//
// Experts without a gate are W_down_e activation(W_up_e h). Where they read and answer a latent
// (Nemotron 3, 2025), h is W_latent_down h to them, and W_latent_up takes their sum back. In Llama
// 4 (2025) the weight is of what an expert reads, not of what it answers. In some families the
// router and the experts have biases (gpt-oss, 2025), or the router a norm of its own and each
// expert's answer a scale (Gemma 4, 2026).
//
// The rows of a step are sorted by expert, so that each expert's weights are read once; a row's sum
// goes through its experts in the order in which it chose them, whoever else visits them.
#pragma once

#include <memory>
#include <vector>

#include "model/config.h"
#include "model/layers/part.h"

namespace tessera {

class Mixture final : public Part {
 public:
  // `config` must outlive it.
  Mixture(const Config& config, int layer, Workspace& workspace);

  void for_each_tensor(TensorVisitor& visit) override;
  void forward(const Step& step, Tensor x) const override;
  // What forward() adds to x, in Workspace::kHidden.
  Tensor answer(const Step& step, Tensor x) const;

 private:
  struct Expert {
    std::unique_ptr<Matrix> gate_up;  // [2 feed_forward, width()]: gate, then up; or up alone
    std::unique_ptr<Matrix> down;     // [width(), feed_forward]
    std::unique_ptr<Vector> gate_up_bias, down_bias;  // nullptr: none
  };

  const ExpertsConfig& shape() const { return config_.layers[layer_].experts; }
  // Of what experts read and answer, but for the shared one.
  int width() const { return shape().latent > 0 ? shape().latent : config_.embedding; }
  void tell_experts(TensorVisitor& visit);
  // Of all rows x, and the same normalized.
  std::vector<ChosenExpert> choose(const Step& step, Tensor x, Tensor h) const;
  // What the expert makes of the normalized rows h. `input`, `down_input`: what its matrices read.
  void visit(const Step& step, const Expert& expert, TapPlace input, TapPlace down_input, Tensor h,
             Tensor out) const;
  void visit(const Step& step, int expert, Tensor h, Tensor out) const;
  // Scales rows that expert by expert read by what their choices weigh.
  void weigh(const Step& step, std::span<const ChosenExpert> chosen, const ExpertRows& sorted,
             int first, Tensor visitors) const;
  void add_up(const Step& step, Tensor h, std::span<const ChosenExpert> chosen,
              const ExpertRows& sorted) const;

  const Config& config_;
  int layer_;
  std::unique_ptr<Vector> norm_;         // [embedding]
  std::unique_ptr<Vector> router_norm_;  // [embedding], of rows that it reads; nullptr: norm_
  std::unique_ptr<Matrix> router_;       // [experts, embedding]
  std::unique_ptr<Vector> router_bias_;  // [experts]; nullptr: none
  std::vector<float> correction_;        // [experts], or none
  std::vector<float> scales_;            // [experts], of their answers, or none
  std::unique_ptr<Matrix> latent_down_, latent_up_;  // nullptr: experts read the normalized rows
  std::vector<Expert> experts_;
  Expert shared_;                          // no matrices: there is none
  std::unique_ptr<Matrix> shared_router_;  // [1, embedding]; nullptr: the weight is 1
};

}  // namespace tessera
