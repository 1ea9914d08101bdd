// A model with some of another's layers, as it would be if it were stored: what a student that
// learns from the whole one begins with.
#pragma once

#include <memory>
#include <span>

#include "checkpoint/checkpoint.h"

namespace tessera {

// `model` with these of its layers alone, ascending, which count from 0 anew, as a GGUF file would
// have it. Which layers of a family can go at all is known to the model (model/layer_choice.h).
// Error for a layer that is not there, or for a tensor of which it is not known what it is for, and
// so whether it is to stay.
std::shared_ptr<const Checkpoint> keep_layers(std::shared_ptr<const Checkpoint> model,
                                              std::span<const int> layers);

}  // namespace tessera
