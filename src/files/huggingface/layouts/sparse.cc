// For each module X, in -> out:
//
//   X.bitmask      U8 [out, ceil(in / 8)], lowest bit first: which columns have a value
//   X.compressed   the values of all rows, one after the other; of 2:4 sparsity, [out, in / 2]
//   X.shape        I64 [2] or [2, 1]: out, in
//   X.row_offsets  I64 [out], the first value of each row; not with 2:4
#include "files/huggingface/layouts/sparse.h"

#include <bit>
#include <cstring>

#include "base/error.h"
#include "base/printable.h"
#include "files/huggingface/layouts/checks.h"
#include "files/huggingface/layouts/codes.h"

namespace tessera::huggingface {
namespace {

class SparseRows final : public RowSource {
 public:
  SparseRows(uint64_t columns, Bytes bits, Bytes values, size_t value_bytes,
             std::vector<uint64_t> offsets)
      : columns_(columns),
        row_bits_((columns + 7) / 8),
        bits_(bits),
        values_(values),
        value_bytes_(value_bytes),
        offsets_(std::move(offsets)) {}

  void read(uint64_t first, uint64_t count, std::byte* out) const override {
    std::memset(out, 0, count * columns_ * value_bytes_);
    for (uint64_t row = first; row < first + count; ++row, out += columns_ * value_bytes_) {
      const std::byte* value = values_.data() + offsets_[row] * value_bytes_;
      const Bytes bits = bits_.subspan(row * row_bits_, row_bits_);
      for (uint64_t c = 0; c < columns_; ++c) {
        if (bits_at(bits, c, 1) == 0) continue;
        std::memcpy(out + c * value_bytes_, value, value_bytes_);
        value += value_bytes_;
      }
    }
  }
  std::vector<std::span<const std::byte>> stored() const override { return {bits_, values_}; }

 private:
  uint64_t columns_, row_bits_;
  Bytes bits_, values_;
  size_t value_bytes_;
  std::vector<uint64_t> offsets_;  // of each row's first value
};

int64_t int64_at(const StoredTensor& tensor, size_t index) {
  int64_t number;
  std::memcpy(&number, tensor.bytes.data() + index * sizeof(number), sizeof(number));
  return number;
}

// [columns, rows]
std::vector<uint64_t> shape_of(const StoredTensor& tensor) {
  expect_dtype(tensor, "I64");
  if (tensor.elements() != 2)
    fail("tensor '{}' has {} numbers, expected 2", printable(tensor.name), tensor.elements());
  const int64_t rows = int64_at(tensor, 0), columns = int64_at(tensor, 1);
  if (rows < 1 || columns < 1)
    fail("tensor '{}' is [{}, {}], expected rows and columns", printable(tensor.name), rows,
         columns);
  return {static_cast<uint64_t>(columns), static_cast<uint64_t>(rows)};
}

// Counted, rather than believed.
std::vector<uint64_t> offsets_of(const StoredTensor& bitmask, uint64_t columns, uint64_t values) {
  const uint64_t row_bytes = bitmask.shape[0];
  std::vector<uint64_t> offsets;
  uint64_t sum = 0;
  for (uint64_t row = 0; row < bitmask.shape[1]; ++row) {
    offsets.push_back(sum);
    const Bytes bits = bitmask.bytes.subspan(row * row_bytes, row_bytes);
    for (const std::byte b : bits)
      sum += static_cast<uint64_t>(std::popcount(static_cast<uint8_t>(b)));
    if (columns % 8 != 0 && static_cast<unsigned>(bits.back()) >> (columns % 8) != 0)
      fail("tensor '{}' has bits beyond column {} in row {}", printable(bitmask.name), columns,
           row);
  }
  if (sum != values) {
    fail("tensor '{}' has {} bits that are set, expected {}, one for each value",
         printable(bitmask.name), sum, values);
  }
  return offsets;
}

void check_offsets(const StoredTensor& tensor, const std::vector<uint64_t>& offsets) {
  expect_dtype(tensor, "I64");
  expect_shape(tensor, {offsets.size()});
  for (size_t row = 0; row < offsets.size(); ++row) {
    const int64_t offset = int64_at(tensor, row);
    if (static_cast<uint64_t>(offset) != offsets[row]) {
      fail("tensor '{}': row {} begins at value {}, expected {}", printable(tensor.name), row,
           offset, offsets[row]);
    }
  }
}

}  // namespace

void fill_in_zeros(RawTensors& tensors) {
  for (const std::string& prefix : tensors.modules(".bitmask")) {
    const StoredTensor& bitmask = tensors.require(prefix + ".bitmask");
    const StoredTensor& values = tensors.require(prefix + ".compressed");
    StoredTensor tensor;
    tensor.name = prefix.ends_with(".weight") ? prefix : prefix + ".weight";
    tensor.shape = shape_of(tensors.require(prefix + ".shape"));
    tensor.format = values.format;
    const uint64_t columns = tensor.shape[0];
    expect_dtype(bitmask, "U8");
    expect_shape(bitmask, {tensor.shape[1], ceil_div(columns, 8)});
    if (values.format->block_elements != 1 || values.source != nullptr)
      fail("tensor '{}' has values of less than a byte", printable(values.name));
    std::vector<uint64_t> offsets = offsets_of(bitmask, columns, values.elements());
    if (const StoredTensor* given = tensors.find(prefix + ".row_offsets"))
      check_offsets(*given, offsets);
    tensor.source = std::make_shared<SparseRows>(columns, bitmask.bytes, values.bytes,
                                                 values.format->block_bytes, std::move(offsets));
    tensors.replace(prefix + ".compressed", std::move(tensor));
    for (const char* part : {".bitmask", ".shape", ".row_offsets"}) tensors.drop(prefix + part);
  }
}

}  // namespace tessera::huggingface
