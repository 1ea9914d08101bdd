// The loss against another model's distribution instead of against a token: of rows of logits q and
// of wanted ones p, -sum softmax(p) log softmax(q), and its way back.
#pragma once

#include "base/host_tensor.h"
#include "base/thread_pool.h"

namespace tessera::train {

// Both [rows, vocabulary]. The sum over rows, in their order. With `dlogits`, which may lie where
// logits do: dlogits = factor (softmax(logits) - softmax(wanted)).
double soft_cross_entropy(ThreadPool& pool, HostRows logits, HostRows wanted);
double soft_cross_entropy_back(ThreadPool& pool, HostRows logits, HostRows wanted, float factor,
                               HostTensor dlogits);

}  // namespace tessera::train
