#include "files/huggingface/layouts/checks.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/printable.h"
#include "files/huggingface/layouts/grid.h"

namespace tessera::huggingface {

std::vector<uint64_t> torch_shape(const StoredTensor& tensor) {
  return {tensor.shape.rbegin(), tensor.shape.rend()};
}

void expect_dtype(const StoredTensor& tensor, std::span<const std::string_view> dtypes) {
  if (std::ranges::find(dtypes, tensor.format->name) != dtypes.end()) return;
  fail("tensor '{}' has the dtype {}, expected {}", printable(tensor.name), tensor.format->name,
       fmt::join(dtypes, " or "));
}

void expect_dtype(const StoredTensor& tensor, std::string_view dtype) {
  expect_dtype(tensor, std::span(&dtype, 1));
}

void expect_floats(const StoredTensor& tensor) {
  static constexpr auto kFloats = std::to_array<std::string_view>({"F32", "F16", "BF16"});
  expect_dtype(tensor, kFloats);
}

void expect_shape(const StoredTensor& tensor, const std::vector<uint64_t>& shape) {
  if (torch_shape(tensor) == shape) return;
  fail("tensor '{}' has the shape [{}], expected [{}]", printable(tensor.name),
       fmt::join(torch_shape(tensor), ", "), fmt::join(shape, ", "));
}

void expect_axes(const StoredTensor& tensor, size_t axes) {
  if (tensor.shape.size() == axes) return;
  fail("tensor '{}' has {} axes, expected {}", printable(tensor.name), tensor.shape.size(), axes);
}

float number_of(const StoredTensor& tensor) {
  expect_floats(tensor);
  if (tensor.elements() != 1)
    fail("tensor '{}' has {} numbers, expected one", printable(tensor.name), tensor.elements());
  return floats_of(*tensor.format, tensor.bytes)[0];
}

}  // namespace tessera::huggingface
