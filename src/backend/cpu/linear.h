// y = W x on the CPU: weights in compute layouts, activations quantized to int8 by row.
#pragma once

#include <span>
#include <vector>

#include "backend/cpu/matrix.h"
#include "backend/cpu/scratch.h"

namespace tessera::cpu {

// What linear() keeps between calls.
struct LinearScratch {
  Scratch activations;  // quantized
  std::vector<int> piece_ends;
};

void linear(ThreadPool& pool, LinearScratch& scratch, const Matrix& weights, Tensor x,
            std::span<const float> bias, Tensor out);
// out = activation(W_gate x) * W_up x. Error unless `weights` has these two parts.
void linear_gated(ThreadPool& pool, LinearScratch& scratch, const Matrix& weights, Tensor x,
                  Activation activation, Tensor out);

}  // namespace tessera::cpu
