// What a checkpoint says of its mixtures of experts.
#pragma once

#include "model/bounded_facts.h"
#include "model/config.h"

namespace tessera {

// Of the layers that are a mixture; no experts where the checkpoint has none. Error for numbers
// that do not fit each other, or would take memory before any expert is looked for.
ExpertsConfig read_experts(const BoundedFacts& facts, int embedding);

// How rows choose among these experts.
Routing read_routing(const BoundedFacts& facts, const Architecture& architecture,
                     const ExpertsConfig& experts);

}  // namespace tessera
