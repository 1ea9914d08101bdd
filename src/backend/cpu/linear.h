// y = W x on the CPU: weights in compute layouts, activations quantized to int8 by row.
#pragma once

#include <memory>
#include <span>

#include "backend/backend.h"
#include "backend/cpu/thread_pool.h"
#include "base/aligned_buffer.h"

namespace tessera::cpu {

// Throws Error if a part's bytes are not rows x columns of a format that the backend can multiply.
std::unique_ptr<Matrix> load_matrix(ThreadPool& pool, std::span<const Backend::WeightPart> parts,
                                    int columns);

// Where linear() keeps quantized activations; it grows to the largest call's need.
struct LinearScratch {
  AlignedBuffer buffer;
};

void linear(ThreadPool& pool, LinearScratch& scratch, const Matrix& weights, Tensor x,
            std::span<const float> bias, Tensor out);

}  // namespace tessera::cpu
