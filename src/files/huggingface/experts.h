// Experts that a folder keeps one by one, as one tensor each for all of a layer, as GGUF has them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/stored_tensor.h"

namespace tessera::huggingface {

// "X.experts.0.Y", "X.experts.1.Y", ... become "X.experts.Y": [experts, rows, columns], where the
// first of them stood; heads' norms, "X.norms.0.Y", ..., become "X.norms.Y": [heads, columns].
// Error if a number is missing, or if they differ in format, shape or the order of their columns.
std::vector<StoredTensor> stack_experts(std::vector<StoredTensor> tensors);

// What one expert's tensor is called: "X.experts.0.Y" of "X.experts.Y". Error for another name.
std::string name_of_expert(std::string_view all, uint64_t expert);

}  // namespace tessera::huggingface
