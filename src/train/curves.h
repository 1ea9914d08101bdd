// What networks put between products, over many values at once: exponentials and activations, with
// the slopes that the way back needs. Within some ulp of exact, the same for any number of threads.
#pragma once

#include <span>

#include "backend/backend.h"

namespace tessera::train {

float largest(std::span<const float> x);
// out[i] = e^(x[i] - most), which may lie where x does; returns their sum.
float exponentials(std::span<const float> x, float most, float* out);

// Error for one that has no slope here (kClampedSilu, of gpt-oss).
void require_slope(Activation activation);
// values[i] = activation(x[i]), slopes[i] = activation'(x[i]); either may be nullptr.
void activate(Activation activation, std::span<const float> x, float* values, float* slopes);

}  // namespace tessera::train
