// F32, F16 and BF16 weights times f32 activations.
//
// A panel of 16 output rows lies column by column: [column][16 rows], each value as in the file.
#pragma once

#include <cstddef>

#include "backend/backend.h"
#include "backend/cpu/layout.h"

namespace tessera::cpu {

enum class FloatKind : uint8_t { kF32, kF16, kBF16 };

// False if the format is no float format.
bool find_float_kind(const Format& format, FloatKind& kind);

constexpr size_t value_bytes(FloatKind kind) {
  return kind == FloatKind::kF32 ? 4 : 2;
}
// A multiple of 32 bytes, whatever the columns.
constexpr size_t float_panel_bytes(FloatKind kind, int columns) {
  return static_cast<size_t>(columns) * kPanelRows * value_bytes(kind);
}

void repack_float_panel(FloatKind kind, const std::byte* rows_begin, int rows, int columns,
                        std::byte* panel);

// sums[row - first_row][16 p + 0 .. 15] = panel p's dots with x's rows [first_row, end_row), for
// `panels` (1 .. kFloatPanels) panels that lie behind each other.
inline constexpr int kFloatPanels = 2;
void multiply_float_panels(FloatKind kind, const std::byte* panel, int panels, const Tensor& x,
                           int first_row, int end_row, float (*sums)[kFloatPanels * kPanelRows]);

}  // namespace tessera::cpu
