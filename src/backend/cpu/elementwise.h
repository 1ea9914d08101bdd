// Operations that touch each row of activations once: norms, rotary embedding, activations, sums.
#pragma once

#include <span>

#include "backend/backend.h"
#include "base/host_tensor.h"
#include "base/thread_pool.h"

namespace tessera::cpu {

inline constexpr int kMaxRopePairs = 512;  // rope: Error beyond, or if it does not fit the head

void rms_norm(ThreadPool& pool, HostTensor x, std::span<const float> weight, float epsilon,
              HostTensor out);
// bias: empty for none.
void layer_norm(ThreadPool& pool, HostTensor x, std::span<const float> weight,
                std::span<const float> bias, float epsilon, HostTensor out);
void rope(ThreadPool& pool, const Rope& rope, int head_dim, std::span<const int32_t> positions,
          HostTensor x);
// out = activation(gate) * up, on the calling thread.
void gated(Activation activation, HostTensor gate, HostTensor up, HostTensor out);
// x = activation(gate) * x.
void gate(ThreadPool& pool, Activation activation, HostTensor gate, HostTensor x);
void activate(ThreadPool& pool, Activation activation, HostTensor x);
void add(ThreadPool& pool, HostTensor x, HostTensor into);
void scale_and_cap(ThreadPool& pool, float factor, float cap, HostTensor x);

}  // namespace tessera::cpu
