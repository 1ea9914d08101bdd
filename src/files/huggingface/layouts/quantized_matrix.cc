#include "files/huggingface/layouts/quantized_matrix.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "base/half.h"
#include "files/huggingface/layouts/code_levels.h"

namespace tessera::huggingface {
namespace {

constexpr uint64_t kPanel = 32;  // rows that are taken apart at once

bool fits_f16(float x) {
  return f16_to_f32(f32_to_f16(x)) == x;  // NaN does not
}

bool is_byte(float x) {
  return x >= 0 && x <= 255 && x == std::floor(x);
}

// Does `holds` hold for the number of every group?
template <typename Predicate>
bool all(const QuantizedMatrix& matrix, const Grid& grid, uint64_t group, Predicate holds) {
  const uint64_t columns = matrix.shape[0];
  uint64_t rows = 1;
  for (size_t axis = 1; axis < matrix.shape.size(); ++axis) rows *= matrix.shape[axis];
  for (uint64_t row = 0; row < rows; ++row) {
    for (uint64_t column = 0; column < columns; column += group)
      if (!holds(grid.at(row, column))) return false;
  }
  return true;
}

bool all_f16(const QuantizedMatrix& matrix, const Grid& grid, uint64_t group) {
  return grid.is_f16() || all(matrix, grid, group, fits_f16);
}

// Zeros as the minimums that they amount to.
class ZerosAsMins final : public Grid {
 public:
  ZerosAsMins(GridPtr scales, GridPtr zeros)
      : scales_(std::move(scales)), zeros_(std::move(zeros)) {}
  float at(uint64_t row, uint64_t column) const override {
    return -(scales_->at(row, column) * zeros_->at(row, column));
  }

 private:
  GridPtr scales_, zeros_;
};

class Rows : public RowSource {
 public:
  explicit Rows(QuantizedMatrix matrix) : matrix_(std::move(matrix)) {}

  void read(uint64_t first, uint64_t count, std::byte* out) const override {
    std::vector<uint8_t> codes(std::min(count, kPanel) * columns());
    while (count > 0) {
      const uint64_t panel = std::min(count, kPanel);
      matrix_.codes->read(first, panel, codes.data());
      for (uint64_t r = 0; r < panel; ++r)
        out = write(first + r, std::span(codes).subspan(r * columns(), columns()), out);
      first += panel;
      count -= panel;
    }
  }
  std::vector<std::span<const std::byte>> stored() const override { return matrix_.stored; }

 protected:
  uint64_t columns() const { return matrix_.shape[0]; }
  // Returns the place behind what it wrote.
  virtual std::byte* write(uint64_t row, std::span<const uint8_t> codes, std::byte* out) const = 0;

  QuantizedMatrix matrix_;
};

class GroupedRows final : public Rows {
 public:
  GroupedRows(QuantizedMatrix matrix, const GroupedKind& kind)
      : Rows(std::move(matrix)), kind_(kind) {}

 private:
  std::byte* write(uint64_t row, std::span<const uint8_t> codes, std::byte* out) const override {
    const auto group = static_cast<uint64_t>(kind_.group);
    const Grid* offsets = matrix_.zeros ? matrix_.zeros.get() : matrix_.mins.get();
    for (uint64_t c = 0; c < codes.size(); c += group, out += kind_.block_bytes()) {
      const float offset = offsets != nullptr ? offsets->at(row, c) : 0;
      write_grouped_block(kind_, matrix_.scales->at(row, c), offset, codes.subspan(c, group), out);
    }
    return out;
  }

  GroupedKind kind_;
};

class DecodedRows final : public Rows {
 public:
  explicit DecodedRows(QuantizedMatrix matrix) : Rows(std::move(matrix)) {
    if (matrix_.levels.empty() && matrix_.kind != GroupedCodes::kInteger)
      matrix_.levels = levels_of(matrix_.kind);
    if (matrix_.group == 0) matrix_.group = columns();
  }

 private:
  std::byte* write(uint64_t row, std::span<const uint8_t> codes, std::byte* out) const override {
    std::vector<float> values(codes.size());
    for (uint64_t c = 0; c < codes.size();) {
      const uint64_t end = std::min<uint64_t>(c + matrix_.group, codes.size());
      const float scale = matrix_.scales->at(row, c);
      const float zero =
          matrix_.zeros ? matrix_.zeros->at(row, c) : static_cast<float>(matrix_.zero_point);
      const float min = matrix_.mins ? matrix_.mins->at(row, c) : 0;
      for (; c < end; ++c) {
        if (!matrix_.levels.empty()) {
          values[c] = scale * matrix_.levels[codes[c]];
        } else if (matrix_.mins) {
          values[c] = scale * static_cast<float>(codes[c]) + min;
        } else {
          values[c] = scale * (static_cast<float>(codes[c]) - zero);
        }
      }
    }
    matrix_.values->encode(values, out, {});
    return out + matrix_.values->row_bytes(values.size());
  }
};

bool has_standard_codes(const QuantizedMatrix& matrix) {
  return matrix.levels.empty();
}

// Minimums that are none, zeros that are all alike or no integers: what a grouped format can hold.
void simplify_offsets(QuantizedMatrix& matrix, uint64_t group) {
  if (!matrix.zeros) return;
  const Grid& zeros = *matrix.zeros;
  const float first = zeros.at(0, 0);
  const auto same = [first](float zero) { return zero == first; };
  if (is_byte(first) && all(matrix, zeros, group, same)) {
    matrix.zero_point = static_cast<int>(first);
    matrix.zeros = nullptr;
  } else if (!zeros.is_byte() && !all(matrix, zeros, group, is_byte)) {
    matrix.mins =
        std::make_shared<ZerosAsMins>(matrix.scales, std::exchange(matrix.zeros, nullptr));
  }
}

std::optional<GroupedKind> grouped_kind(QuantizedMatrix& matrix) {
  if (!has_standard_codes(matrix)) return std::nullopt;
  const int group = fitting_group(matrix.shape[0], matrix.group);
  if (group == 0) return std::nullopt;
  const auto step = static_cast<uint64_t>(group);
  simplify_offsets(matrix, step);
  GroupedKind kind = {.codes = matrix.kind, .group = group};
  if (matrix.kind == GroupedCodes::kInteger) kind.bits = matrix.bits;
  if (matrix.zeros) {
    kind.offset = GroupedOffset::kZero;
  } else if (matrix.mins) {
    kind.offset = GroupedOffset::kMin;
  } else {
    kind.zero_point = matrix.zero_point;
  }
  kind.f32_scales = !all_f16(matrix, *matrix.scales, step) ||
                    (matrix.mins && !all_f16(matrix, *matrix.mins, step));
  return kind;
}

}  // namespace

CodesPtr codes_of(const StoredTensor& tensor, uint8_t flip) {
  if (tensor.source != nullptr) return source_codes(tensor.source, tensor.columns(), flip);
  return byte_codes(tensor.bytes, tensor.columns(), flip);
}

StoredTensor put_together(QuantizedMatrix matrix) {
  StoredTensor tensor;
  tensor.name = matrix.name;
  tensor.shape = matrix.shape;
  tensor.order = matrix.order;
  if (const auto kind = grouped_kind(matrix)) {
    tensor.format = &grouped_format(*kind);
    tensor.source = std::make_shared<GroupedRows>(std::move(matrix), *kind);
  } else {
    tensor.format = matrix.values;
    tensor.source = std::make_shared<DecodedRows>(std::move(matrix));
  }
  return tensor;
}

}  // namespace tessera::huggingface
