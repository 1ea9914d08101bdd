// Rotary position embedding (Su et al. 2021): each pair of a head turns by position * frequency and
// is scaled by the rope's magnitude. A turn is undone by the opposite one, so the way back is the
// same with the other sign.
#pragma once

#include <cstdint>
#include <span>

#include "backend/backend.h"
#include "base/host_tensor.h"
#include "base/thread_pool.h"

namespace tessera::train {

enum class Turn { kForward, kBack };

// x [rows, heads * head_dim], each row by its position, in place.
void rotate(ThreadPool& pool, const Rope& rope, int head_dim, std::span<const int32_t> positions,
            Turn turn, HostTensor x);

}  // namespace tessera::train
