#include "files/huggingface/recurrent_layers.h"

#include <cmath>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "files/huggingface/row_sources.h"

namespace tessera::huggingface {
namespace {

struct Counts {
  uint64_t heads, key_heads, key_dim, value_dim;
  explicit Counts(const RecurrentShape& shape)
      : heads(static_cast<uint64_t>(shape.heads)),
        key_heads(static_cast<uint64_t>(shape.key_heads)),
        key_dim(static_cast<uint64_t>(shape.key_dim)),
        value_dim(static_cast<uint64_t>(shape.value_dim)) {}
  uint64_t group() const { return heads / key_heads; }
  uint64_t keys() const { return key_heads * key_dim; }
  uint64_t values() const { return heads * value_dim; }
};

void expect_rows(const StoredTensor& tensor, uint64_t found, uint64_t expected) {
  if (found != expected)
    fail("tensor '{}' has {} rows, expected {}", printable(tensor.name), found, expected);
}

// Which of the folder's heads is the h-th of GGUF's.
uint64_t source_head(const Counts& n, uint64_t head) {
  return head % n.key_heads * n.group() + head / n.key_heads;
}

// Rows [0, first) as they are, then heads of so many rows each.
StoredTensor spread_rows(const StoredTensor& tensor, const Counts& n, uint64_t first,
                         uint64_t rows_each) {
  const uint64_t rows = tensor.shape.size() == 1 ? tensor.columns() : tensor.rows();
  expect_rows(tensor, rows, first + n.heads * rows_each);
  std::vector<uint64_t> sources;
  for (uint64_t row = 0; row < first; ++row) sources.push_back(row);
  for (uint64_t head = 0; head < n.heads; ++head) {
    for (uint64_t i = 0; i < rows_each; ++i)
      sources.push_back(first + source_head(n, head) * rows_each + i);
  }
  return move_rows(tensor, std::move(sources));
}

// The columns stay where they are, but belong to other inputs.
StoredTensor spread_columns(const StoredTensor& tensor, const Counts& n) {
  expect_rows(tensor, tensor.columns(), n.values());
  std::vector<uint32_t> spread(n.values());
  for (uint64_t head = 0; head < n.heads; ++head) {
    for (uint64_t i = 0; i < n.value_dim; ++i)
      spread[source_head(n, head) * n.value_dim + i] =
          static_cast<uint32_t>(head * n.value_dim + i);
  }
  auto order = spread;
  if (tensor.order != nullptr) {
    for (size_t c = 0; c < order.size(); ++c) order[c] = spread[(*tensor.order)[c]];
  }
  StoredTensor result = tensor;
  result.order = std::make_shared<const std::vector<uint32_t>>(std::move(order));
  return result;
}

StoredTensor spread_heads(const StoredTensor& tensor, TensorRole role, const Counts& n) {
  using enum TensorRole;
  switch (role) {
    case kQueryKeyValue:
    case kRecurrentFilter:
      return spread_rows(tensor, n, 2 * n.keys(), n.value_dim);
    case kRecurrentGate:
      return spread_rows(tensor, n, 0, n.value_dim);
    case kRecurrentRate:
    case kRecurrentStep:
    case kRecurrentStepBias:
    case kRecurrentDecay:
      return spread_rows(tensor, n, 0, 1);
    case kRecurrentOutput:
      return spread_columns(tensor, n);
    default:
      return tensor;
  }
}

}  // namespace

std::vector<StoredTensor> split_recurrent(std::vector<StoredTensor> tensors,
                                          const RecurrentShape& shape) {
  constexpr std::string_view kJoined = "in_proj_qkvz.weight";
  if (shape.heads < 1 || shape.key_heads < 1 || shape.heads % shape.key_heads != 0) return tensors;
  const Counts n(shape);
  std::vector<StoredTensor> result;
  for (StoredTensor& tensor : tensors) {
    if (!tensor.name.ends_with(kJoined)) {
      result.push_back(std::move(tensor));
      continue;
    }
    const uint64_t values = n.group() * n.value_dim, each = 2 * n.key_dim + 2 * values;
    expect_rows(tensor, tensor.rows(), n.key_heads * each);
    const std::string module = tensor.name.substr(0, tensor.name.size() - kJoined.size());
    std::vector<uint64_t> joined, gates;
    const auto take = [&](std::vector<uint64_t>& rows, uint64_t offset, uint64_t count) {
      for (uint64_t key = 0; key < n.key_heads; ++key)
        for (uint64_t i = 0; i < count; ++i) rows.push_back(key * each + offset + i);
    };
    take(joined, 0, n.key_dim);
    take(joined, n.key_dim, n.key_dim);
    take(joined, 2 * n.key_dim, values);
    take(gates, 2 * n.key_dim + values, values);
    result.push_back(move_rows(tensor, std::move(joined)));
    result.back().name = module + "in_proj_qkv.weight";
    result.push_back(move_rows(tensor, std::move(gates)));
    result.back().name = module + "in_proj_z.weight";
  }
  return result;
}

std::vector<StoredTensor> split_shared_mlp(std::vector<StoredTensor> tensors) {
  constexpr std::string_view kJoined = "input_linear.weight";
  std::vector<StoredTensor> result;
  for (StoredTensor& tensor : tensors) {
    const size_t axes = tensor.shape.size();
    if (!tensor.name.ends_with(kJoined) || axes < 2 || axes > 3 || tensor.shape[1] % 2 != 0) {
      result.push_back(std::move(tensor));
      continue;
    }
    const std::string module = tensor.name.substr(0, tensor.name.size() - kJoined.size());
    const uint64_t both = tensor.shape[1], experts = axes == 3 ? tensor.shape[2] : 1;
    for (const uint64_t second : {0, 1}) {
      std::vector<uint64_t> rows;
      for (uint64_t expert = 0; expert < experts; ++expert) {
        for (uint64_t row = 0; row < both / 2; ++row)
          rows.push_back(expert * both + second * both / 2 + row);
      }
      result.push_back(move_rows(tensor, std::move(rows)));
      result.back().name = module + (second == 0 ? "gate_proj.weight" : "up_proj.weight");
      if (axes == 3) result.back().shape = {tensor.shape[0], both / 2, experts};
    }
  }
  return result;
}

StoredTensor adapt_recurrent(const StoredTensor& stored, TensorRole role,
                             const RecurrentShape& shape) {
  using enum TensorRole;
  StoredTensor tensor = stored;
  const bool is_filter = role == kRecurrentFilter || role == kConvolutionFilter;
  if (is_filter && tensor.shape.size() == 3 && tensor.shape[1] == 1)
    tensor.shape = {tensor.shape[0], tensor.shape[2]};  // of one input channel each
  const bool is_small = role == kRecurrentDecay || role == kRecurrentSkip || role == kRecurrentNorm;
  if (!is_small && !is_filter && !shape.spread_heads) return tensor;
  if (is_small && tensor.shape.size() == 1 && tensor.format->supported()) {
    const uint64_t count = tensor.columns(), groups = static_cast<uint64_t>(shape.key_heads);
    std::vector<float> values(count);
    tensor.decode(0, 1, values);
    for (float& value : values)
      if (role == kRecurrentDecay) value = -std::exp(value);  // it is a logarithm here
    std::vector<uint64_t> axes = {count};
    if (shape.is_state_space && role != kRecurrentNorm) axes = {1, count};
    if (shape.is_state_space && role == kRecurrentNorm && count % groups == 0)
      axes = {count / groups, groups};
    tensor = make_vector(tensor, std::move(values), std::move(axes));
  }
  const bool has_groups = shape.spread_heads && shape.key_heads > 0 &&
                          shape.heads > shape.key_heads && shape.heads % shape.key_heads == 0;
  return has_groups ? spread_heads(tensor, role, Counts(shape)) : tensor;
}

}  // namespace tessera::huggingface
