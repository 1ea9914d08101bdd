// What feed-forward networks do between their products (GLU variants, Shazeer 2020).
#pragma once

#include "backend/backend.h"
#include "base/host_tensor.h"
#include "base/thread_pool.h"

namespace tessera::train {

// y = activation(gate) * x, all [rows, columns]. y may be x.
void apply_gate(ThreadPool& pool, Activation activation, HostRows gate, HostRows x, HostTensor y);
// dgate += dy x activation'(gate), dx += dy activation(gate).
void apply_gate_back(ThreadPool& pool, Activation activation, HostRows gate, HostRows x,
                     HostRows dy, HostTensor dgate, HostTensor dx);

// y = activation(x). y may be x.
void apply_activation(ThreadPool& pool, Activation activation, HostRows x, HostTensor y);
// dx += dy activation'(x)
void apply_activation_back(ThreadPool& pool, Activation activation, HostRows x, HostRows dy,
                           HostTensor dx);

}  // namespace tessera::train
