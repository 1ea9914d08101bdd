#include "files/huggingface/layouts/group_order.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "base/error.h"
#include "base/printable.h"
#include "files/huggingface/layouts/checks.h"

namespace tessera::huggingface {
namespace {

using Order = std::shared_ptr<const std::vector<uint32_t>>;

std::vector<uint32_t> read(const StoredTensor& g_idx, uint64_t columns, uint64_t count) {
  expect_dtype(g_idx, "I32");
  expect_shape(g_idx, {columns});
  std::vector<uint32_t> groups(columns);
  std::memcpy(groups.data(), g_idx.bytes.data(), g_idx.bytes.size());
  for (uint64_t c = 0; c < columns; ++c) {
    if (groups[c] >= count) {
      fail("tensor '{}': input {} is of group {}, expected 0 to {}", printable(g_idx.name), c,
           static_cast<int32_t>(groups[c]), count - 1);
    }
  }
  return groups;
}

// Inputs sorted by their groups. nullptr if a group has more or less of them than `group`, but for
// the last.
Order sorted_inputs(const std::vector<uint32_t>& groups, uint64_t group) {
  std::vector<uint32_t> order(groups.size());
  std::iota(order.begin(), order.end(), 0u);
  std::ranges::stable_sort(order, {}, [&](uint32_t input) { return groups[input]; });
  for (uint64_t c = 0; c < order.size(); ++c)
    if (groups[order[c]] != c / group) return nullptr;
  return std::make_shared<const std::vector<uint32_t>>(std::move(order));
}

}  // namespace

void set_groups(QuantizedMatrix& matrix, const StoredTensor& g_idx, uint64_t count) {
  const uint64_t group = matrix.group == 0 ? matrix.shape[0] : matrix.group;
  std::vector<uint32_t> groups = read(g_idx, matrix.shape[0], count);
  const Order order = sorted_inputs(groups, group);
  if (order != nullptr) {
    if (std::ranges::is_sorted(*order)) return;
    matrix.order = order;
    matrix.codes = permuted_codes(matrix.codes, order);
    return;
  }
  // The first column that a group would have in order stands for all of them in the grids.
  for (uint32_t& g : groups) g = static_cast<uint32_t>(g * group);
  const auto first = std::make_shared<const std::vector<uint32_t>>(std::move(groups));
  matrix.scales = permuted_grid(matrix.scales, first);
  if (matrix.zeros) matrix.zeros = permuted_grid(matrix.zeros, first);
  matrix.group = 1;
}

}  // namespace tessera::huggingface
