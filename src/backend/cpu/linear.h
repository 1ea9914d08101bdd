// y = W x on the CPU: weights in compute layouts, activations quantized to int8 by row.
#pragma once

#include <span>
#include <vector>

#include "backend/cpu/low_rank.h"
#include "backend/cpu/matrix.h"
#include "backend/cpu/scratch.h"
#include "base/host_tensor.h"

namespace tessera::cpu {

// What linear() keeps between calls.
struct LinearScratch {
  Scratch activations;  // quantized
  Scratch added;        // what A x is of adapters
  std::vector<int> piece_ends;
};

void linear(ThreadPool& pool, LinearScratch& scratch, const Matrix& weights, HostTensor x,
            std::span<const float> bias, HostTensor out, std::span<const LowRankRows> added = {});
// out = activation(W_gate x) * W_up x. Error unless `weights` has these two parts.
void linear_gated(ThreadPool& pool, LinearScratch& scratch, const Matrix& weights, HostTensor x,
                  std::span<const float> bias, Activation activation, HostTensor out,
                  std::span<const LowRankRows> added = {});

}  // namespace tessera::cpu
