// Recurrent layers as folders hold them, made what GGUF has: of gated delta networks queries, keys
// and values in one matrix and the gate in another, and of Qwen 3.5 heads in another order; decays
// themselves, not their logarithms; filters without an axis of length 1.
#pragma once

#include <cstdint>
#include <vector>

#include "checkpoint/stored_tensor.h"

namespace tessera::huggingface {

struct RecurrentShape {
  int64_t heads = 0, key_heads = 0;  // 0: no recurrence has heads
  int64_t key_dim = 0, value_dim = 0;
  // Heads that share a key lie together in the folder, and so many heads apart from each other in
  // GGUF.
  bool spread_heads = false;
  // Of state-space layers, GGUF has a number for each head as a column, and norms by groups.
  bool is_state_space = false;
};

// Takes apart in_proj_qkvz, which holds of each key's heads the query, the key, the values and the
// gates (Qwen3-Next).
std::vector<StoredTensor> split_recurrent(std::vector<StoredTensor> tensors,
                                          const RecurrentShape& shape);

// Takes apart gate and up, which Granite has in one tensor, of a feed-forward and of all experts.
std::vector<StoredTensor> split_shared_mlp(std::vector<StoredTensor> tensors);

// A tensor of a recurrent layer as GGUF has it; others as they are.
StoredTensor adapt_recurrent(const StoredTensor& tensor, TensorRole role,
                             const RecurrentShape& shape);

}  // namespace tessera::huggingface
