// Which keys and values each layer reads: its own, an earlier layer's (cross-layer attention,
// Brandon et al. 2024), or keys in the place of values.
#pragma once

#include "checkpoint/checkpoint.h"
#include "model/bounded_facts.h"
#include "model/config.h"

namespace tessera {

// Fills kv_layer, shares_kv and keys_as_values of layers whose windows are known. Throws Error if
// layers are to share what no earlier layer has.
void read_kv_layers(const Checkpoint& checkpoint, const BoundedFacts& facts, Config& config);

}  // namespace tessera
