#include "files/huggingface/row_sources.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "files/huggingface/rotary_pairs.h"

namespace tessera::huggingface {
namespace {

class HeldRows final : public RowSource {
 public:
  HeldRows(std::vector<float> values, uint64_t columns,
           std::vector<std::span<const std::byte>> stored)
      : stored_(std::move(stored)),
        row_bytes_(columns * sizeof(float)),
        bytes_(values.size() * sizeof(float)) {
    kF32.encode(values, bytes_.data(), {});
  }
  void read(uint64_t first, uint64_t count, std::byte* out) const override {
    std::memcpy(out, bytes_.data() + first * row_bytes_, count * row_bytes_);
  }
  std::vector<std::span<const std::byte>> stored() const override { return stored_; }

 private:
  std::vector<std::span<const std::byte>> stored_;
  uint64_t row_bytes_;
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

// Runs of so many rows, in another order.
class MovedRows final : public RowSource {
 public:
  // sources[i]: which run of `from` is the i-th.
  MovedRows(StoredTensor from, uint64_t run, std::vector<uint64_t> sources)
      : from_(std::move(from)),
        run_(run),
        sources_(std::move(sources)),
        row_bytes_(from_.format->row_bytes(from_.columns())) {}

  void read(uint64_t first, uint64_t count, std::byte* out) const override {
    std::vector<std::byte> buffer;
    for (uint64_t row = first; row < first + count;) {
      const uint64_t in_run = row % run_, rows = std::min(first + count - row, run_ - in_run);
      const auto read = from_.read(sources_[row / run_] * run_ + in_run, rows, buffer);
      std::memcpy(out, read.data(), rows * row_bytes_);
      out += rows * row_bytes_;
      row += rows;
    }
  }
  std::vector<std::span<const std::byte>> stored() const override { return from_.stored(); }

 private:
  const StoredTensor from_;
  const uint64_t run_;
  const std::vector<uint64_t> sources_;
  const uint64_t row_bytes_;
};

}  // namespace

StoredTensor make_vector(const StoredTensor& from, std::vector<float> values,
                         std::vector<uint64_t> shape) {
  StoredTensor vector = from;
  vector.format = &kF32;
  vector.shape = shape.empty() ? std::vector<uint64_t>{values.size()} : std::move(shape);
  vector.bytes = {};
  vector.source =
      std::make_shared<const HeldRows>(std::move(values), vector.columns(), from.stored());
  return vector;
}

StoredTensor stepped_rows(const StoredTensor& from, std::string name, std::vector<uint64_t> shape,
                          Steps steps) {
  if (from.format->block_elements != 1 || from.source != nullptr) {
    fail("tensor '{}' is in {}: only floats can be put along other axes", printable(from.name),
         from.format->name);
  }
  const uint64_t rows_each = shape[1];
  StoredTensor result = from;
  result.name = std::move(name);
  result.source = std::make_shared<const SteppedRows>(from, steps, rows_each, shape[0]);
  result.shape = std::move(shape);
  result.bytes = {};
  return result;
}

namespace {

// Runs of so many rows, or of so many values of a vector.
StoredTensor move_runs(const StoredTensor& from, uint64_t run, std::vector<uint64_t> sources) {
  if (from.shape.size() > 1) {
    StoredTensor moved = from;
    moved.shape = {from.columns(), run * sources.size()};
    moved.bytes = {};
    moved.source = std::make_shared<const MovedRows>(from, run, std::move(sources));
    return moved;
  }
  std::vector<float> values(from.columns()), moved;
  from.decode(0, 1, values);
  for (const uint64_t source : sources) {
    const auto first = values.begin() + static_cast<ptrdiff_t>(source * run);
    moved.insert(moved.end(), first, first + static_cast<ptrdiff_t>(run));
  }
  return make_vector(from, std::move(moved));
}

}  // namespace

StoredTensor group_by_kind(const StoredTensor& from, HeadCounts heads) {
  const bool is_vector = from.shape.size() == 1;
  const uint64_t rows = is_vector ? from.columns() : from.rows();
  const auto queries = static_cast<uint64_t>(heads.queries),
             keys = static_cast<uint64_t>(heads.keys);
  if (heads.keys < 1 || heads.queries < 1 || queries % keys != 0 || rows == 0 ||
      rows % (queries + 2 * keys) != 0) {
    fail("tensor '{}': {} rows are not those of {} query and {} key-value heads",
         printable(from.name), rows, heads.queries, heads.keys);
  }
  const uint64_t group = queries / keys;
  std::vector<uint64_t> sources;
  for (uint64_t head = 0; head < queries; ++head)
    sources.push_back(head / group * (group + 2) + head % group);
  for (uint64_t kind = 0; kind < 2; ++kind)  // keys, values
    for (uint64_t head = 0; head < keys; ++head)
      sources.push_back(head * (group + 2) + group + kind);
  const uint64_t head_dim = rows / (queries + 2 * keys);
  return move_runs(from, head_dim, std::move(sources));
}

StoredTensor move_rows(const StoredTensor& from, std::vector<uint64_t> sources) {
  return move_runs(from, 1, std::move(sources));
}

StoredTensor transpose(const StoredTensor& from) {
  if (from.format->block_elements != 1 || from.shape.size() != 2 || from.order != nullptr) {
    fail(
        "tensor '{}' lies the other way round than others, which is supported in F32, F16 and "
        "BF16 only, not in {}",
        printable(from.name), from.format->name);
  }
  return stepped_rows(from, from.name, {from.rows(), from.columns()},
                      {.first = 0, .expert = 0, .row = 1, .column = from.columns()});
}

StoredTensor skip_rows(const StoredTensor& from, uint64_t count) {
  if (from.shape.size() != 2 || from.rows() <= count) {
    fail("tensor '{}': expected more than {} rows, found {}", printable(from.name), count,
         from.rows());
  }
  std::vector<uint64_t> sources(from.rows() - count);
  std::iota(sources.begin(), sources.end(), count);
  return move_rows(from, std::move(sources));
}

StoredTensor pair_rows(const StoredTensor& from, uint64_t head_dim) {
  StoredTensor paired = from;
  paired.bytes = {};
  paired.source = std::make_shared<const PairedRows>(from, head_dim);
  return paired;
}

}  // namespace tessera::huggingface
