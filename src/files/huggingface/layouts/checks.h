// What layouts ask of the tensors they read, before they use them.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "checkpoint/stored_tensor.h"

namespace tessera::huggingface {

// Shapes here are as PyTorch says them: rows first.
std::vector<uint64_t> torch_shape(const StoredTensor& tensor);

// Error, which names the tensor, unless it has one of these dtypes.
void expect_dtype(const StoredTensor& tensor, std::span<const std::string_view> dtypes);
void expect_dtype(const StoredTensor& tensor, std::string_view dtype);
void expect_floats(const StoredTensor& tensor);  // F32, F16 or BF16: a scale
// The same for its shape.
void expect_shape(const StoredTensor& tensor, const std::vector<uint64_t>& shape);
void expect_axes(const StoredTensor& tensor, size_t axes);
// Its one number.
float number_of(const StoredTensor& tensor);

inline uint64_t ceil_div(uint64_t a, uint64_t b) {
  return a / b + (a % b != 0);
}

}  // namespace tessera::huggingface
