#include "formats/shared_scales.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/half.h"
#include "formats/dynamic_map.h"
#include "formats/f16_field.h"
#include "formats/float8.h"
#include "formats/float_codebook.h"

namespace tessera {
namespace {

constexpr float kMostE4M3 = 448, kMostE2M1 = 6;

float largest_magnitude(std::span<const float> values) {
  float largest = 0;
  for (const float value : values) largest = std::max(largest, std::fabs(value));
  return largest;
}

// Of a kind whose scale makes its largest magnitude the largest level.
float largest_level(const GroupedKind& kind) {
  return kind.codes == GroupedCodes::kE4M3 ? kMostE4M3 : 127;
}

// Of integers that have few levels, one more below zero than above: large values may be cut off. 0
// of a row of zeros.
float best_row_scale(int bits, std::span<const float> values) {
  const auto top = static_cast<float>((1 << (bits - 1)) - 1);
  const float widest = largest_magnitude(values) / top;
  double best_error = INFINITY;
  float best = 0;
  constexpr int kShrinks = 24;
  for (int i = 0; i < kShrinks && widest > 0; ++i) {
    const float scale = round_scale_f16(widest * (1 - 0.03f * static_cast<float>(i)));
    if (scale == 0) break;
    double error = 0;
    for (const float value : values) {
      const float level = std::clamp(std::nearbyint(value / scale), -top - 1, top);
      const auto off = static_cast<double>(value - scale * level);
      error += off * off;
    }
    if (!(error < best_error)) continue;
    best_error = error;
    best = scale;
  }
  return best;
}

bool is_searched(const GroupedKind& kind) {
  return kind.scope == ScaleScope::kRow && kind.codes == GroupedCodes::kInteger && kind.bits < 8;
}

// Loaders keep scales in the type of the model: a number that F16 has, too.
float round_up_to_bf16(float x) {
  const uint16_t bits = f32_to_bf16(x);
  return bf16_to_f32(static_cast<uint16_t>(bf16_to_f32(bits) < x ? bits + 1 : bits));
}

}  // namespace

SharedScales::SharedScales(const GroupedKind& kind, uint64_t rows, uint64_t columns)
    : kind_(kind), rows_(rows), columns_(columns) {
  const bool by_group = kind.scope == ScaleScope::kNested || kind.scope == ScaleScope::kE4M3;
  across_ = by_group ? columns / static_cast<uint64_t>(kind.group) : 1;
  numbers_.resize(kind.scope == ScaleScope::kMatrix ? 1 : rows * across_);
  if (kind.scope == ScaleScope::kMatrix) sums_.resize(rows);
  if (by_group) codes_.resize(numbers_.size());
}

void SharedScales::observe(uint64_t row, std::span<const float> values) {
  if (kind_.scope == ScaleScope::kMatrix) {
    for (const float value : values) sums_[row] += static_cast<double>(std::fabs(value));
    return;
  }
  if (is_searched(kind_)) {
    of(row, 0) = best_row_scale(kind_.bits, values);
    return;
  }
  const uint64_t part = columns_ / across_;
  for (uint64_t g = 0; g < across_; ++g)
    of(row, g) = largest_magnitude(values.subspan(g * part, part));
}

void SharedScales::settle() {
  switch (kind_.scope) {
    case ScaleScope::kGroup:
      break;
    case ScaleScope::kRow:
      if (is_searched(kind_)) break;
      for (float& number : numbers_) number = round_up_to_bf16(number / largest_level(kind_));
      break;
    case ScaleScope::kMatrix: {
      double sum = 0;
      for (const double of_row : sums_) sum += of_row;
      const auto mean = static_cast<float>(sum / static_cast<double>(rows_ * columns_));
      // Files have the reciprocal.
      numbers_[0] = mean > 0 ? 1 / bf16_to_f32(f32_to_bf16(1 / mean)) : 0;
      break;
    }
    case ScaleScope::kNested:
      return settle_nested();
    case ScaleScope::kE4M3:
      return settle_e4m3();
  }
}

void SharedScales::settle_nested() {
  double sum = 0;
  for (const float absmax : numbers_) sum += static_cast<double>(absmax);
  common_ = static_cast<float>(sum / static_cast<double>(numbers_.size()));
  const auto& map = signed_dynamic_map();
  const FloatCodebook book(map.data(), 8);
  for (size_t first = 0; first < numbers_.size(); first += kNestedGroups) {
    const auto some = std::span(numbers_).subspan(
        first, std::min<size_t>(kNestedGroups, numbers_.size() - first));
    for (float& number : some) number -= common_;
    const float scale = largest_magnitude(some);
    nested_.push_back(scale);
    for (size_t i = 0; i < some.size(); ++i) {
      const uint8_t code = book.nearest(scale > 0 ? some[i] / scale : 0.0f);
      codes_[first + i] = code;
      some[i] = map[code] * scale + common_;
    }
  }
}

void SharedScales::settle_e4m3() {
  const float largest = largest_magnitude(numbers_);
  common_ = largest > 0 ? 1 / largest * (kMostE4M3 * kMostE2M1) : 1;
  const float* values = e4m3_values();
  const FloatCodebook book(values, 8);
  for (size_t i = 0; i < numbers_.size(); ++i) {
    codes_[i] = book.nearest(numbers_[i] / kMostE2M1 * common_);
    numbers_[i] = values[codes_[i]] / common_;
  }
}

void SharedScales::write(uint64_t row, std::byte* blocks) const {
  const uint64_t groups = columns_ / static_cast<uint64_t>(kind_.group);
  const auto put = [&](size_t at, const auto& value) {
    std::memcpy(blocks + at, &value, sizeof(value));
  };
  for (uint64_t g = 0; g < groups; ++g, blocks += kind_.block_bytes()) {
    const uint64_t i =
        kind_.scope == ScaleScope::kMatrix ? 0 : row * across_ + (across_ == 1 ? 0 : g);
    put(0, numbers_[i]);
    if (codes_.empty()) continue;
    put(4, codes_[i]);
    if (nested_.empty()) {
      put(5, common_);
    } else {
      put(5, nested_[i / kNestedGroups]);
      put(9, common_);
    }
  }
}

void write_shared_scales(const Format& format, std::span<const float> rows, uint64_t columns,
                         std::byte* out) {
  if (!shares_scales(format)) return;
  const uint64_t count = rows.size() / columns, row_bytes = format.row_bytes(columns);
  SharedScales scales(*kind_of(format), count, columns);
  for (uint64_t row = 0; row < count; ++row)
    scales.observe(row, rows.subspan(row * columns, columns));
  scales.settle();
  for (uint64_t row = 0; row < count; ++row) scales.write(row, out + row * row_bytes);
}

ScaleNote scale_note(const GroupedKind& kind, const std::byte* block) {
  ScaleNote note;
  const auto get = [&](size_t at, auto& value) { std::memcpy(&value, block + at, sizeof(value)); };
  if (kind.note_bytes() == 0) return note;
  get(4, note.code);
  if (kind.scope == ScaleScope::kNested) {
    get(5, note.scale);
    get(9, note.common);
  } else {
    get(5, note.common);
  }
  return note;
}

}  // namespace tessera
