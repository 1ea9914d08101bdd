// A backend in plain loops, whose memory is its own, as a GPU's is: between operations its pages
// cannot be read, so whoever follows a pointer into a tensor dies; what was downloaded becomes NaN
// with the next operation, so whoever keeps it notices.
//
// It obeys the exactness contract (an output depends on its own row only). Weights and activations
// are multiplied as they are, in doubles.
#pragma once

#include <memory>

#include "backend/backend.h"

namespace tessera {

std::unique_ptr<Backend> make_reference_backend();
// Where a tensor of it lies: for the test that nobody can read there.
const float* reference_memory(const Tensor& x);

}  // namespace tessera
