// Low-rank adapters that are learned (LoRA, Hu et al. 2021) for a model as it is stored, quantized
// or not (QLoRA, Dettmers et al. 2023).
#pragma once

#include <cstdint>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/stored_adapter.h"
#include "train/learned.h"

namespace tessera::train {

struct LoraOptions {
  int rank = 16;
  double alpha = 32;  // B A is multiplied with alpha / rank
  uint64_t seed = 1;
  // Of which matrices; empty: all that multiply activations in a layer.
  std::vector<TensorRole> roles = {};
};

// A pair for each matrix that is to be adapted: A drawn evenly from +- 1 / sqrt(columns), B zeros,
// so that a training begins at the model as it is (as PEFT begins). Error for a rank that does not
// fit, or if no matrix of the model is meant.
Learned make_lora(const Checkpoint& model, const LoraOptions& options);

// The pairs as an adapter to be written, whose tensors they stay: see save_adapter().
StoredAdapter stored_adapter(const Learned& learned);

}  // namespace tessera::train
