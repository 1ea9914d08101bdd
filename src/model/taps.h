// Reading activations while a forward pass runs: what calibration collects, what drafting heads and
// distillation learn from.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "backend/backend.h"
#include "checkpoint/tensor_role.h"

namespace tessera {

// A place in the pass. From kQkvInput on, they are what the layer's matrices multiply.
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
  // Of a mixture: into gate and up of one expert, and into its down, of the rows that chose it
  // [visitors, embedding], [visitors, feed_forward]; the same of the expert that all rows visit.
  kExpertInput,
  kExpertDownInput,
  kSharedInput,
  kSharedDownInput,
};

// A point that a layer may have several of: each expert's.
struct TapPlace {
  TapPoint point;
  int expert = 0;

  TapPlace(TapPoint at, int of_expert = 0) : point(at), expert(of_expert) {}
  auto operator<=>(const TapPlace&) const = default;
};

// Where what a matrix of a layer multiplies can be tapped; nothing for other tensors. Of a tensor
// that holds a matrix for each expert, where each of them can.
std::optional<TapPoint> input_of(TensorRole role);
// Is it a point of each expert?
bool is_of_experts(TapPoint point);

struct Tap {
  int layer = 0;
  TapPoint point = TapPoint::kLayerOutput;
  std::vector<int32_t> rows = {};  // of the batch, in any order; empty: all. All of an expert
  // Called once a pass (kValueInput: several times). The tensor holds the chosen rows until it
  // returns; Backend::download shows them.
  std::function<void(Tensor activations)> read;
  int expert = 0;  // of points of each expert: whose; if no row chose it, there is no call
};

}  // namespace tessera
