// Reading activations while a forward pass runs: what calibration collects, what drafting heads and
// distillation learn from.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "backend/backend.h"
#include "checkpoint/tensor_role.h"

namespace tessera {

// A place in the pass. The last six are what the layer's matrices multiply.
enum class TapPoint {
  kLayerInput,            // the residual stream before the layer   [rows, embedding]
  kLayerOutput,           // and after it                           [rows, embedding]
  kQkvInput,              // normalized, into queries, keys, values [rows, embedding]
  kOutputInput,           // into attention's output matrix         [rows, heads * head_dim]
  kRecurrentOutputInput,  // and into a recurrence's       [rows, values]
  kGateUpInput,           // normalized, into gate and up           [rows, embedding]
  kDownInput,             // gated, into down                       [rows, feed_forward]
  // What the values' matrix multiplies, as far as it matters to anybody: the inputs of kQkvInput,
  // averaged by each head's attention, which could as well average first. Shown head_dim columns of
  // them at a time, from the first on, the last filled up with zeros   [rows, heads * head_dim]
  kValueInput,
};

// Where what a matrix of a layer multiplies can be tapped; nothing for other tensors.
std::optional<TapPoint> input_of(TensorRole role);

struct Tap {
  int layer = 0;
  TapPoint point = TapPoint::kLayerOutput;
  std::vector<int32_t> rows = {};  // of the batch, in any order; empty: all
  // Called once a pass (kValueInput: several times). The tensor holds the chosen rows until it
  // returns; Backend::download shows them.
  std::function<void(Tensor activations)> read;
};

}  // namespace tessera
