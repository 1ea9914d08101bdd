// y = W x + b, with f32 weights, and its way back (Rumelhart et al. 1986).
//
//   x [rows, inputs]   y [rows, outputs]   W [outputs, inputs] without gaps   b [outputs]
//
// `d` before a name: what the loss changes by with it, of the same shape.
#pragma once

#include <span>

#include "base/host_tensor.h"
#include "base/matrix_product.h"
#include "base/thread_pool.h"

namespace tessera::train {

// y = factor W x, or y += that.
void linear(ThreadPool& pool, HostRows x, const float* weights, float factor, HostTensor y,
            Into into);
// Every row of y += b.
void add_bias(ThreadPool& pool, std::span<const float> bias, HostTensor y);

// dx += factor W^T dy
void linear_to_inputs(ThreadPool& pool, HostRows dy, const float* weights, float factor,
                      HostTensor dx);
// dW += factor dy^T x, rows summed in their order.
void linear_to_weights(ThreadPool& pool, HostRows dy, HostRows x, float factor, float* dweights);
// db += the sum of dy's rows, in their order.
void add_rows(ThreadPool& pool, HostRows dy, std::span<float> dbias);

}  // namespace tessera::train
