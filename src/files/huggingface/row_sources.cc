#include "files/huggingface/row_sources.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "files/huggingface/rotary_pairs.h"

namespace tessera::huggingface {
namespace {

class HeldRows final : public RowSource {
 public:
  HeldRows(std::vector<float> values, std::vector<std::span<const std::byte>> stored)
      : stored_(std::move(stored)), bytes_(values.size() * sizeof(float)) {
    kF32.encode(values, bytes_.data(), {});
  }
  void read(uint64_t first, uint64_t count, std::byte* out) const override {
    const size_t row = bytes_.size();  // a vector is one row
    std::memcpy(out, bytes_.data() + first * row, count * row);
  }
  std::vector<std::span<const std::byte>> stored() const override { return stored_; }

 private:
  std::vector<std::span<const std::byte>> stored_;
  std::vector<std::byte> bytes_;
};

class SteppedRows final : public RowSource {
 public:
  SteppedRows(const StoredTensor& from, Steps steps, uint64_t rows_each, uint64_t columns)
      : bytes_(from.bytes),
        value_bytes_(from.format->block_bytes),
        steps_(steps),
        rows_each_(rows_each),
        columns_(columns) {}

  void read(uint64_t first, uint64_t count, std::byte* out) const override {
    for (uint64_t c = 0; c < columns_; ++c) {  // whose values of all these rows lie side by side
      for (uint64_t r = 0; r < count; ++r) {
        const uint64_t row = first + r;
        const uint64_t at = steps_.first + row / rows_each_ * steps_.expert +
                            row % rows_each_ * steps_.row + c * steps_.column;
        std::memcpy(out + (r * columns_ + c) * value_bytes_, &bytes_[at * value_bytes_],
                    value_bytes_);
      }
    }
  }
  std::vector<std::span<const std::byte>> stored() const override { return {bytes_}; }

 private:
  const std::span<const std::byte> bytes_;
  const uint64_t value_bytes_;
  const Steps steps_;
  const uint64_t rows_each_, columns_;
};

class PairedRows final : public RowSource {
 public:
  PairedRows(StoredTensor from, uint64_t head_dim)
      : from_(std::move(from)),
        head_dim_(head_dim),
        row_bytes_(from_.format->row_bytes(from_.columns())) {}

  void read(uint64_t first, uint64_t count, std::byte* out) const override {
    std::vector<std::byte> buffer;
    for (uint64_t row = first; row < first + count;) {
      const uint64_t head = row / head_dim_ * head_dim_;
      const auto rows = from_.read(head, head_dim_, buffer);
      const uint64_t end = std::min(first + count, head + head_dim_);
      for (; row < end; ++row, out += row_bytes_) {
        const uint64_t in_head = row_in_halves(row, head_dim_) - head;
        std::memcpy(out, rows.data() + in_head * row_bytes_, row_bytes_);
      }
    }
  }
  std::vector<std::span<const std::byte>> stored() const override { return from_.stored(); }

 private:
  const StoredTensor from_;
  const uint64_t head_dim_, row_bytes_;
};

}  // namespace

StoredTensor make_vector(const StoredTensor& from, std::vector<float> values) {
  StoredTensor vector = from;
  vector.format = &kF32;
  vector.shape = {values.size()};
  vector.bytes = {};
  vector.source = std::make_shared<const HeldRows>(std::move(values), from.stored());
  return vector;
}

StoredTensor stepped_rows(const StoredTensor& from, std::string name, std::vector<uint64_t> shape,
                          Steps steps) {
  if (from.format->block_elements != 1 || from.source != nullptr) {
    fail("tensor '{}' is in {}: only floats can be put along other axes", printable(from.name),
         from.format->name);
  }
  const uint64_t rows_each = shape.size() == 3 ? shape[1] : 1;
  StoredTensor result = from;
  result.name = std::move(name);
  result.source = std::make_shared<const SteppedRows>(from, steps, rows_each, shape[0]);
  result.shape = std::move(shape);
  result.bytes = {};
  return result;
}

StoredTensor pair_rows(const StoredTensor& from, uint64_t head_dim) {
  StoredTensor paired = from;
  paired.bytes = {};
  paired.source = std::make_shared<const PairedRows>(from, head_dim);
  return paired;
}

}  // namespace tessera::huggingface
