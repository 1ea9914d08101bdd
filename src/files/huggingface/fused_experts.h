// Experts that a folder keeps as one tensor of all of them, along other axes than GGUF (gpt-oss):
//
//   X.experts.gate_up_proj       [experts, embedding, 2 feed_forward]   y = x W; columns alternate:
//   X.experts.gate_up_proj_bias  [experts, 2 feed_forward]              gate, up, gate, up
//   X.experts.down_proj          [experts, feed_forward, embedding]
//   X.experts.down_proj_bias     [experts, embedding]
//
// or, where a layout has put them together (MXFP4), X.experts.gate_up_proj.weight with the rows of
// a linear layer, which alternate.
// https://github.com/huggingface/transformers/blob/main/src/transformers/models/gpt_oss
#pragma once

#include <vector>

#include "checkpoint/stored_tensor.h"

namespace tessera::huggingface {

// Those become X.experts.gate_proj.weight, up_proj.weight, down_proj.weight [experts, rows,
// columns] and gate_proj.bias, up_proj.bias, down_proj.bias [experts, rows]. Error for other
// shapes.
std::vector<StoredTensor> split_fused_experts(std::vector<StoredTensor> tensors);

}  // namespace tessera::huggingface
