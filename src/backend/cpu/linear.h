// y = W x on the CPU: weights in compute layouts, activations quantized to int8 by row.
#pragma once

#include <memory>
#include <span>

#include "backend/backend.h"
#include "backend/cpu/thread_pool.h"

namespace tessera::cpu {

std::unique_ptr<Matrix> load_matrix(ThreadPool& pool, std::span<const Backend::WeightPart> parts, int columns);

void linear(ThreadPool& pool, const Matrix& weights, Tensor x, std::span<const float> bias, Tensor out);

}  // namespace tessera::cpu
