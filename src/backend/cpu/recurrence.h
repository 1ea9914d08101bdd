// Recurrent layers: causal convolution and linear recurrences, along the runs of a step.
#pragma once

#include <span>

#include "backend/backend.h"
#include "backend/cpu/state_store.h"
#include "base/host_tensor.h"
#include "base/thread_pool.h"

namespace tessera::cpu {

// RecurrenceInputs on the host.
struct HostRecurrenceInputs {
  HostTensor queries, keys, values, decays, rates;
};

// bias: empty for none.
void convolve(ThreadPool& pool, StateStore& store, int layer, std::span<const float> filter,
              std::span<const float> bias, std::span<const StateRun> runs, HostTensor x,
              HostTensor out);
void recur(ThreadPool& pool, StateStore& store, const Recurrence& recurrence,
           std::span<const StateRun> runs, const HostRecurrenceInputs& inputs, HostTensor out);
void keep_states(ThreadPool& pool, StateStore& store, std::span<const StatePath> paths);

}  // namespace tessera::cpu
