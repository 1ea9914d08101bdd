#include "files/huggingface/layouts/grid.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/half.h"
#include "files/huggingface/layouts/code_levels.h"

namespace tessera::huggingface {
namespace {

template <typename T>
T load(Bytes bytes, uint64_t index) {
  T value;
  std::memcpy(&value, bytes.data() + index * sizeof(value), sizeof(value));
  return value;
}

float f64_at(Bytes bytes, uint64_t i) {
  return static_cast<float>(load<double>(bytes, i));
}
float f32_at(Bytes bytes, uint64_t i) {
  return load<float>(bytes, i);
}
float f16_at(Bytes bytes, uint64_t i) {
  return f16_to_f32(load<uint16_t>(bytes, i));
}
float bf16_at(Bytes bytes, uint64_t i) {
  return bf16_to_f32(load<uint16_t>(bytes, i));
}
float e4m3_at(Bytes bytes, uint64_t i) {
  static const std::vector<float>& levels = levels_of(GroupedCodes::kE4M3);
  return levels[load<uint8_t>(bytes, i)];
}
float e8m0_at(Bytes bytes, uint64_t i) {
  const int exponent = load<uint8_t>(bytes, i);
  return exponent == 255 ? NAN : std::ldexp(1.0f, exponent - 127);
}

using At = float (*)(Bytes, uint64_t);
struct Row {
  std::string_view dtype;
  At at;
};
constexpr Row kRows[] = {{"F64", f64_at},   {"F32", f32_at},      {"F16", f16_at},
                         {"BF16", bf16_at}, {"F8_E4M3", e4m3_at}, {"F8_E8M0", e8m0_at},
                         {"U8", e8m0_at}};

At reader_of(const Format& format) {
  for (const Row& row : kRows)
    if (row.dtype == format.name) return row.at;
  return nullptr;
}

At require_reader(const Format& format) {
  const At at = reader_of(format);
  if (at == nullptr) fail("scales of the dtype {} are not known", format.name);
  return at;
}

class ConstantGrid final : public Grid {
 public:
  explicit ConstantGrid(float value) : value_(value) {}
  float at(uint64_t, uint64_t) const override { return value_; }

 private:
  float value_;
};

class FloatsGrid final : public Grid {
 public:
  explicit FloatsGrid(const FloatGrid& grid) : grid_(grid), at_(require_reader(*grid.format)) {}
  float at(uint64_t row, uint64_t column) const override {
    const uint64_t index =
        row / grid_.rows * grid_.row_step + column / grid_.columns * grid_.column_step;
    const float value = at_(grid_.bytes, index);
    return value * grid_.factor / grid_.divisor;
  }
  bool is_f16() const override {
    return grid_.format == &kF16 && grid_.factor == 1 && grid_.divisor == 1;
  }

 private:
  FloatGrid grid_;
  At at_;
};

class FlatFloats final : public Grid {
 public:
  explicit FlatFloats(const FlatGrid& grid) : grid_(grid), at_(require_reader(*grid.format)) {}
  float at(uint64_t row, uint64_t column) const override {
    const uint64_t element = row * grid_.width + column;
    return at_(grid_.bytes, grid_.interleaved ? element % grid_.group : element / grid_.group);
  }
  bool is_f16() const override { return grid_.format == &kF16; }

 private:
  FlatGrid grid_;
  At at_;
};

class ByteNumbers final : public Grid {
 public:
  ByteNumbers(Bytes bytes, uint8_t flip, uint64_t columns, uint64_t across)
      : bytes_(bytes), flip_(flip), columns_(columns), across_(across) {}
  float at(uint64_t row, uint64_t column) const override {
    const uint8_t byte = load<uint8_t>(bytes_, row * across_ + column / columns_);
    return static_cast<float>((byte ^ flip_) & (2 * flip_ - 1));
  }
  bool is_byte() const override { return true; }

 private:
  Bytes bytes_;
  uint8_t flip_;
  uint64_t columns_, across_;
};

class PackedNumbers final : public Grid {
 public:
  explicit PackedNumbers(const PackedGrid& grid) : grid_(grid) {}
  float at(uint64_t row, uint64_t column) const override {
    if (grid_.awq_order) row = row / 8 * 8 + kNibbleOfRow[row % 8];
    const uint64_t position = row * grid_.row_bits + column / grid_.columns * grid_.column_bits;
    const int number = bits_at(grid_.bytes, position, grid_.bits) + grid_.add;
    return static_cast<float>(number & ((1 << grid_.bits) - 1));
  }
  bool is_byte() const override { return true; }

 private:
  static constexpr uint8_t kNibbleOfRow[8] = {0, 4, 1, 5, 2, 6, 3, 7};  // kAwqRows, inverted
  PackedGrid grid_;
};

class ColumnPackedNumbers final : public Grid {
 public:
  ColumnPackedNumbers(Bytes bytes, int bits, bool dense, uint64_t columns, uint64_t groups)
      : bytes_(bytes),
        bits_(bits),
        in_word_(dense ? 0 : static_cast<unsigned>(32 / bits)),
        columns_(columns),
        groups_(groups) {}
  float at(uint64_t row, uint64_t column) const override {
    const auto width = static_cast<uint64_t>(bits_);
    const uint64_t position =
        in_word_ == 0 ? row * width : row / in_word_ * 32 + row % in_word_ * width;
    const uint64_t word = position / 32 * groups_ + column / columns_;
    uint64_t window = load<uint32_t>(bytes_, word);
    if (position % 32 + width > 32) {
      window |= static_cast<uint64_t>(load<uint32_t>(bytes_, word + groups_)) << 32;
    }
    return static_cast<float>((window >> (position % 32)) & ((1u << bits_) - 1));
  }
  bool is_byte() const override { return true; }

 private:
  Bytes bytes_;
  int bits_;
  unsigned in_word_;  // 0: dense
  uint64_t columns_, groups_;
};

class PermutedGrid final : public Grid {
 public:
  PermutedGrid(GridPtr grid, std::shared_ptr<const std::vector<uint32_t>> of)
      : grid_(std::move(grid)), of_(std::move(of)) {}
  float at(uint64_t row, uint64_t column) const override { return grid_->at(row, (*of_)[column]); }
  bool is_f16() const override { return grid_->is_f16(); }
  bool is_byte() const override { return grid_->is_byte(); }

 private:
  GridPtr grid_;
  std::shared_ptr<const std::vector<uint32_t>> of_;
};

}  // namespace

GridPtr constant_grid(float value) {
  return std::make_shared<ConstantGrid>(value);
}

GridPtr float_grid(const FloatGrid& grid) {
  return std::make_shared<FloatsGrid>(grid);
}

GridPtr flat_grid(const FlatGrid& grid) {
  return std::make_shared<FlatFloats>(grid);
}

GridPtr byte_grid(Bytes bytes, uint8_t flip, uint64_t columns, uint64_t across) {
  return std::make_shared<ByteNumbers>(bytes, flip, columns, across);
}

std::vector<float> floats_of(const Format& format, Bytes bytes) {
  const At at = require_reader(format);
  std::vector<float> floats(bytes.size() / format.block_bytes);
  for (size_t i = 0; i < floats.size(); ++i) floats[i] = at(bytes, i);
  return floats;
}

bool is_float_dtype(const Format& format) {
  return reader_of(format) != nullptr;
}

GridPtr packed_grid(const PackedGrid& grid) {
  return std::make_shared<PackedNumbers>(grid);
}

GridPtr column_packed_grid(Bytes bytes, int bits, bool dense, uint64_t columns, uint64_t groups) {
  return std::make_shared<ColumnPackedNumbers>(bytes, bits, dense, columns, groups);
}

GridPtr permuted_grid(GridPtr grid, std::shared_ptr<const std::vector<uint32_t>> of) {
  return std::make_shared<PermutedGrid>(std::move(grid), std::move(of));
}

}  // namespace tessera::huggingface
