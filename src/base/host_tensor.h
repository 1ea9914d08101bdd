// Rows of floats in the host's memory: what kernels of the CPU work on, and what others read of a
// backend's tensors.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace tessera {

// `rows` row vectors of `columns` floats, `stride` floats apart.
struct HostTensor {
  float* data = nullptr;
  int rows = 0, columns = 0, stride = 0;

  float* row(int r) const { return data + static_cast<size_t>(r) * stride; }
  // Columns [first, first + count) of every row.
  HostTensor slice(int first, int count) const { return {data + first, rows, count, stride}; }
  HostTensor top(int count) const { return {data, count, columns, stride}; }
};

// The same to read only.
struct HostRows {
  HostRows() = default;
  HostRows(const float* first_row, int row_count, int column_count, int row_stride)
      : data(first_row), rows(row_count), columns(column_count), stride(row_stride) {}
  HostRows(const HostTensor& x) : HostRows(x.data, x.rows, x.columns, x.stride) {}

  std::span<const float> row(int r) const {
    return {data + static_cast<size_t>(r) * stride, static_cast<size_t>(columns)};
  }
  // Rows [first, first + count).
  HostRows middle(int first, int count) const {
    return {data + static_cast<size_t>(first) * stride, count, columns, stride};
  }
  // The same in `into`, without gaps.
  HostRows copy(std::vector<float>& into) const {
    into.clear();
    for (int r = 0; r < rows; ++r) into.insert(into.end(), row(r).begin(), row(r).end());
    return {into.data(), rows, columns, columns};
  }

  const float* data = nullptr;
  int rows = 0, columns = 0, stride = 0;
};

}  // namespace tessera
