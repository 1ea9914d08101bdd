// Models with some of another's layers: what pruning leaves, and what a student begins with.
#pragma once

#include <vector>

#include "model/config.h"

namespace tessera {

// Error for a model of which none can go: where a layer's number says what it is (windows or
// positions that layers have by turns, other layers at an end), those that stay would be read as
// others than they are.
void require_droppable_layers(const Config& config);

// `count` of `layers`, evenly spread, the first and the last among them (as DistilBERT begins, Sanh
// et al. 2019); of one, the first.
std::vector<int> spread_layers(int layers, int count);

}  // namespace tessera
