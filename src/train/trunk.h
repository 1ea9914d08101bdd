// What a frozen model makes of examples, by the forward pass that serves: drafts that learn from it
// meet what they were trained on.
#pragma once

#include <span>
#include <vector>

#include "model/model.h"
#include "train/example.h"

namespace tessera::train {

// The final hidden state of each token, normalized: [rows, embedding], without gaps. Of examples
// that the model's limits have room for.
std::vector<float> hidden_states(Model& trunk, std::span<const Example> examples);

}  // namespace tessera::train
