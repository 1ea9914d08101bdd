// What a model would lose if its matrices multiplied integers (W8A8 and its kin), simulated:
// weights and activations are rounded to what the integers can stand for, and multiplied as floats.
// The products are those of the integers but for the roundings of float sums; for measuring, not
// for speed.
//
// Activations with a scale for each row have it from the row itself (dynamic); with one for the
// tensor, from what was observed of a text before (static).
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>

#include "backend/forwarding_backend.h"
#include "evaluate/rounding.h"
#include "model/model.h"
#include "text/tokenizer.h"

namespace tessera {

class SimulatedRounding final : public ForwardingBackend {
 public:
  struct Options {
    std::optional<Rounding> weights = {}, activations = {};
    // The matrix of so many rows is left alone, as is what it multiplies: that of the logits.
    int left_out = 0;
  };
  SimulatedRounding(std::shared_ptr<Backend> backend, const Options& options)
      : ForwardingBackend(std::move(backend)), options_(options) {}

  // Has the model, which runs on this, read a text, and learns what range the inputs of each of its
  // matrices have. Activations with one scale for a tensor need it.
  void calibrate(Model& model, const Tokenizer& tokenizer, std::string_view text, int chunks);

  std::unique_ptr<Matrix> load_matrix(std::span<const WeightPart> parts, int columns) override;
  void linear(const Matrix& weights, Tensor x, const Vector* bias, Tensor out,
              std::span<const LowRankRows> added) override;
  void linear_gated(const Matrix& weights, Tensor x, const Vector* bias, Activation activation,
                    Tensor out, std::span<const LowRankRows> added) override;

 private:
  Tensor rounded(const Matrix& weights, Tensor x);

  const Options options_;
  bool observing_ = false;
  std::map<const Matrix*, ValueRange> ranges_;  // of what they multiply
  std::map<int, Tensor> scratch_;               // by columns
};

}  // namespace tessera
