// What a checkpoint says of its mixtures of experts.
#pragma once

#include "model/bounded_facts.h"
#include "model/config.h"

namespace tessera {

// Of the layers that are a mixture; no experts where the checkpoint has none. Error for numbers
// that do not fit each other, or would take memory before any expert is looked for.
ExpertsConfig read_experts(const BoundedFacts& facts, int embedding);

// Layers without experts in a model that has some: the first ones, or all but every n-th.
struct DenseLayers {
  int leading = 0, period = 1;
  bool all = false;

  bool has(size_t layer) const {
    const auto i = static_cast<int64_t>(layer);
    return all || i < leading || (i + 1) % period != 0;
  }
};
DenseLayers read_dense_layers(const BoundedFacts& facts, const ExpertsConfig& experts);

// How rows choose among these experts.
Routing read_routing(const BoundedFacts& facts, const Architecture& architecture,
                     const ExpertsConfig& experts);

}  // namespace tessera
