// F32, F16 and BF16 weights times f32 activations.
//
// A panel of kPanelRows output rows lies column by column: [column][row], each value as in the
// file.
#pragma once

#include <cstddef>

#include "backend/backend.h"
#include "backend/cpu/layout.h"
#include "base/host_tensor.h"

namespace tessera::cpu {

enum class FloatKind : uint8_t { kF32, kF16, kBF16 };

// False if the format is no float format.
bool find_float_kind(const Format& format, FloatKind& kind);

constexpr size_t value_bytes(FloatKind kind) {
  return kind == FloatKind::kF32 ? 4 : 2;
}
// A multiple of 64 bytes, whatever the columns.
constexpr size_t float_panel_bytes(FloatKind kind, int columns) {
  return static_cast<size_t>(columns) * kPanelRows * value_bytes(kind);
}

void repack_float_panel(FloatKind kind, const std::byte* rows_begin, int rows, int columns,
                        std::byte* panel);

// sums[row - first_row][0 .. 31] = the panel's dots with x's rows [first_row, end_row).
void multiply_float_panel(FloatKind kind, const std::byte* panel, const HostTensor& x,
                          int first_row, int end_row, float (*sums)[kPanelRows]);

}  // namespace tessera::cpu
