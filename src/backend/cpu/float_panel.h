// Float weights times f32 activations: F32, F16 and BF16, scaled floats of 8 bits, and decoded to
// F32 what no other kernel takes.
//
// A panel of kPanelRows output rows lies column by column: [column][row], each value as in the
// file. Of scaled floats of 8 bits, each group of columns has its scales before it, [row], f32.
#pragma once

#include <cstddef>
#include <optional>

#include "backend/backend.h"
#include "backend/cpu/layout.h"
#include "base/host_tensor.h"

namespace tessera::cpu {

enum class FloatKind : uint8_t { kF32, kF16, kBF16, kE4M3, kE5M2 };

constexpr bool is_scaled(FloatKind kind) {
  return kind == FloatKind::kE4M3 || kind == FloatKind::kE5M2;
}
constexpr size_t value_bytes(FloatKind kind) {
  return kind == FloatKind::kF32 ? 4 : is_scaled(kind) ? 1 : 2;
}

struct FloatLayout {
  const Format* format = nullptr;  // of the rows: another one than F32 is decoded to kF32
  FloatKind kind = FloatKind::kF32;
  int group = 0;  // columns that share scales, of scaled floats: at most 128

  // A multiple of 64 bytes, whatever the columns.
  size_t panel_bytes(int columns) const;
};

// Nothing if the format cannot be decoded.
std::optional<FloatLayout> find_float_layout(const Format& format);

void repack_float_panel(const FloatLayout& layout, const std::byte* rows_begin, int rows,
                        int columns, std::byte* panel);

// sums[row - first_row][0 .. 31] = the panel's dots with x's rows [first_row, end_row).
void multiply_float_panel(const FloatLayout& layout, const std::byte* panel, const HostTensor& x,
                          int first_row, int end_row, float (*sums)[kPanelRows]);

}  // namespace tessera::cpu
