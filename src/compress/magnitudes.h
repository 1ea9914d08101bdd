// How large the weights of matrices are, taken together.
#pragma once

#include <span>

#include "base/thread_pool.h"
#include "checkpoint/stored_tensor.h"

namespace tessera {

// The least magnitude that a share of all weights, in [0, 1), do not exceed; below 0 if the share
// is of none. Reads every tensor twice. Error for a value that is not finite.
float magnitude_of_share(std::span<const StoredTensor> tensors, double share, ThreadPool& pool);

}  // namespace tessera
