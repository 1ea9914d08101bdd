// The loss of a language model: -log softmax(logits)[target], and its way back.
#pragma once

#include <span>

#include "base/host_tensor.h"
#include "base/thread_pool.h"
#include "base/token.h"

namespace tessera::train {

// logits [rows, vocabulary]; targets [rows]. The sum over rows, in their order.
double cross_entropy(ThreadPool& pool, HostRows logits, std::span<const Token> targets);
// The same; dlogits = factor (softmax(logits) - [target]). dlogits may be logits.
double cross_entropy_back(ThreadPool& pool, HostRows logits, std::span<const Token> targets,
                          float factor, HostTensor dlogits);

}  // namespace tessera::train
