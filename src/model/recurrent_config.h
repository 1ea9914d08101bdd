// What a checkpoint says of layers that are recurrences rather than attention.
#pragma once

#include "model/bounded_facts.h"
#include "model/config.h"

namespace tessera {

// Fills in LayerConfig::recurrent of those layers of a family that has any. Throws Error if what
// the checkpoint says is missing or absurd.
void read_recurrent(const Facts& facts, const BoundedFacts& bounded, Config& config);

}  // namespace tessera
