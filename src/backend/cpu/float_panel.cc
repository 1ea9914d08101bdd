// The kernel of float weights. The loop that matters is in `multiply_rows`.
//
// For each column: 2 loads (and conversions) of 16 weights and 2 fused multiply-adds for each row
// of activations. Each output has one accumulator, and columns go up one at a time (exactness), so
// the latency of the multiply-add (4 cycles) must be covered by different outputs: 24 of them with
// 12 rows. Many rows share a chunk of weights that was converted once, into the first-level cache;
// then nothing but the multiply-adds bounds. With 1 row it is 64 bytes of f16 in 4 cycles, beyond
// what memory delivers.
//
// Scaled floats of 8 bits become f16 by a shift, then f32: 10 instructions for the 32 bytes of a
// column. The products of the even columns of a group are summed alone, and then multiplied with
// its scale; so are those of the odd columns, so that with 1 row two sums take turns and no latency
// bounds. More rows share a group that was converted once.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/float_panel.cc"
#include "base/simd/simd_targets.h"
//
#include <hwy/foreach_target.h>
//
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "backend/cpu/float_panel.h"
#include "backend/cpu/lanes.h"
#include "base/half.h"
#include "formats/float8.h"

HWY_BEFORE_NAMESPACE();
namespace tessera::cpu::HWY_NAMESPACE {

constexpr int kChunkColumns = 128;

template <FloatKind kKind>
HWY_INLINE FloatVector load_weights(const std::byte* p) {
  const FloatTag df;
  if constexpr (kKind == FloatKind::kF32) {
    return hn::LoadU(df, reinterpret_cast<const float*>(p));
  } else if constexpr (kKind == FloatKind::kF16) {
    return load_f16(p);
  } else if constexpr (kKind == FloatKind::kE4M3) {
    // The exponent of an f16 has one bit more: sign-extended, its top bit is a copy of the sign.
    const hn::Rebind<int8_t, FloatTag> d8;
    const hn::Rebind<int16_t, FloatTag> d16;
    const auto wide = hn::PromoteTo(d16, hn::LoadU(d8, reinterpret_cast<const int8_t*>(p)));
    const auto bits = hn::And(hn::ShiftLeft<7>(wide), hn::Set(d16, static_cast<int16_t>(0xbfff)));
    return f16_values(hn::BitCast(HalfBitsTag(), bits));  // times 2^-8, for the bias of exponents
  } else if constexpr (kKind == FloatKind::kE5M2) {
    const hn::Rebind<uint8_t, FloatTag> d8;
    const auto wide =
        hn::PromoteTo(HalfBitsTag(), hn::LoadU(d8, reinterpret_cast<const uint8_t*>(p)));
    return f16_values(hn::ShiftLeft<8>(wide));
  } else {
    const IntTag di;
    const hn::Rebind<uint16_t, FloatTag> d16;
    const auto bits = hn::PromoteTo(di, hn::LoadU(d16, reinterpret_cast<const uint16_t*>(p)));
    return hn::BitCast(df, hn::ShiftLeft<16>(bits));
  }
}

// What lies ahead in memory, to be fetched while columns are multiplied, `stride` bytes a column.
struct Stream {
  const std::byte* next;
  size_t stride;
};

// Columns of a panel.
struct Columns {
  const std::byte* weights;
  int count;
  const float* scales;  // [row], of scaled floats; E4M3: times 2^8
};

// Adds columns to the sums of kRows rows of x, `x_stride` floats apart. Those of scaled floats meet
// every second input, and are summed alone first.
template <FloatKind kKind, bool kScaled, int kRows>
HWY_NOINLINE void multiply_rows(const Columns& columns, const float* x, size_t x_stride,
                                Stream stream, float (*sums)[kPanelRows]) {
  constexpr int kParts = kLanes < kPanelRows ? 2 : 1;  // at a time
  constexpr size_t kColumnBytes = kPanelRows * value_bytes(kKind), kStep = kScaled ? 2 : 1;
  const FloatTag df;
  for (size_t part = 0; part < kPanelRows; part += kParts * kLanes) {
    FloatVector sum[kParts][kRows];
    unroll<kParts>([&](auto p) TESSERA_INLINE_LAMBDA {
      TESSERA_UNROLL for (int r = 0; r < kRows; ++r) {
        sum[p][r] = kScaled ? hn::Zero(df) : hn::Load(df, sums[r] + part + p * kLanes);
      }
    });
    for (int c = 0; c < columns.count; ++c) {
      const std::byte* column = columns.weights + c * kColumnBytes;
      if (part == 0) {
        for (size_t line = 0; line < stream.stride; line += 64) {
          fetch_ahead(stream.next + c * stream.stride + line);
        }
      }
      unroll<kParts>([&](auto p) TESSERA_INLINE_LAMBDA {
        const FloatVector w =
            load_weights<kKind>(column + (part + p * kLanes) * value_bytes(kKind));
        TESSERA_UNROLL for (int r = 0; r < kRows; ++r) {
          sum[p][r] = hn::MulAdd(w, hn::Set(df, x[r * x_stride + c * kStep]), sum[p][r]);
        }
      });
    }
    unroll<kParts>([&](auto p) TESSERA_INLINE_LAMBDA {
      const size_t at = part + p * kLanes;
      TESSERA_UNROLL for (int r = 0; r < kRows; ++r) {
        if constexpr (kScaled) {
          const FloatVector scale = hn::LoadU(df, columns.scales + at);
          sum[p][r] = hn::MulAdd(sum[p][r], scale, hn::Load(df, sums[r] + at));
        }
        hn::Store(sum[p][r], df, sums[r] + at);
      }
    });
  }
}

constexpr int kMostRows = kLanes >= 16 ? 12 : 4;  // that registers hold

// ... to those of any number of rows.
template <FloatKind kKind, bool kScaled = false>
void multiply_all_rows(const Columns& columns, const HostTensor& x, int first_row, int end_row,
                       int first_column, Stream stream, float (*sums)[kPanelRows]) {
  int row = first_row;
  const auto run = [&](auto rows) {
    for (; end_row - row >= rows; row += rows) {
      multiply_rows<kKind, kScaled, rows>(columns, x.row(row) + first_column,
                                          static_cast<size_t>(x.stride), stream,
                                          sums + (row - first_row));
      stream.stride = 0;  // the first pass has fetched
    }
  };
  run(std::integral_constant<int, kMostRows>());
  if constexpr (kMostRows > 8) run(std::integral_constant<int, 8>());
  if constexpr (kMostRows > 4) run(std::integral_constant<int, 4>());
  run(std::integral_constant<int, 1>());
}

template <FloatKind kKind>
HWY_NOINLINE void convert_columns(const Columns& columns, float* to) {
  for (size_t i = 0; i < static_cast<size_t>(columns.count) * kPanelRows; i += kLanes) {
    hn::Store(load_weights<kKind>(columns.weights + i * value_bytes(kKind)), FloatTag(), to + i);
  }
}

template <FloatKind kKind>
void multiply_panel(const std::byte* panel, const HostTensor& x, int first_row, int end_row,
                    float (*sums)[kPanelRows]) {
  constexpr int kConvertOnce = 17;  // rows: from here on it pays
  constexpr size_t kColumnBytes = kPanelRows * value_bytes(kKind);
  const int rows = end_row - first_row;
  alignas(64) float converted[kChunkColumns * kPanelRows];
  for (int first = 0; first < x.columns; first += kChunkColumns) {
    const Columns columns = {panel + first * kColumnBytes,
                             std::min(kChunkColumns, x.columns - first), nullptr};
    if (kKind == FloatKind::kF32 || rows < kConvertOnce) {
      multiply_all_rows<kKind>(columns, x, first_row, end_row, first,
                               {columns.weights, kColumnBytes}, sums);
    } else {
      // What is converted must be there at once: it was fetched while the chunk before was
      // multiplied.
      convert_columns<kKind>(columns, converted);
      const std::byte* ahead = columns.weights + columns.count * kColumnBytes - kNearAhead;
      multiply_all_rows<FloatKind::kF32>(
          {reinterpret_cast<const std::byte*>(converted), columns.count, nullptr}, x, first_row,
          end_row, first, {ahead, kColumnBytes}, sums);
    }
  }
}

// --- scaled floats: group by group, each [scales][columns]

// Adds a group to the sums of few rows.
template <FloatKind kKind, int kRows>
HWY_NOINLINE void multiply_group(const Columns& columns, const float* x, size_t x_stride,
                                 bool fetch, float (*sums)[kPanelRows]) {
  constexpr int kParts = kLanes < kPanelRows ? 2 : 1;  // at a time
  const FloatTag df;
  for (size_t part = 0; part < kPanelRows; part += kParts * kLanes) {
    FloatVector sum[2][kParts][kRows];  // of even and of odd columns
    unroll<2 * kParts>([&](auto i) TESSERA_INLINE_LAMBDA {
      TESSERA_UNROLL for (int r = 0; r < kRows; ++r) sum[i / kParts][i % kParts][r] = hn::Zero(df);
    });
    for (int c = 0; c < columns.count; c += 2) {
      const std::byte* two = columns.weights + static_cast<size_t>(c) * kPanelRows;
      if (fetch && part == 0) fetch_ahead(two);
      unroll<2>([&](auto odd) TESSERA_INLINE_LAMBDA {
        unroll<kParts>([&](auto p) TESSERA_INLINE_LAMBDA {
          const FloatVector w = load_weights<kKind>(two + odd * kPanelRows + part + p * kLanes);
          TESSERA_UNROLL for (int r = 0; r < kRows; ++r) {
            const FloatVector input = hn::Set(df, x[r * x_stride + c + odd]);
            sum[odd][p][r] = hn::MulAdd(w, input, sum[odd][p][r]);
          }
        });
      });
    }
    unroll<kParts>([&](auto p) TESSERA_INLINE_LAMBDA {
      const size_t at = part + p * kLanes;
      const FloatVector scale = hn::LoadU(df, columns.scales + at);
      TESSERA_UNROLL for (int r = 0; r < kRows; ++r) {
        const FloatVector even = hn::MulAdd(sum[0][p][r], scale, hn::Load(df, sums[r] + at));
        hn::Store(hn::MulAdd(sum[1][p][r], scale, even), df, sums[r] + at);
      }
    });
  }
}

// Writes the even columns of a group, then the odd ones.
template <FloatKind kKind>
HWY_NOINLINE void convert_group(const Columns& columns, float* to) {
  for (int c = 0; c < columns.count; ++c) {
    const std::byte* column = columns.weights + static_cast<size_t>(c) * kPanelRows;
    float* converted = to + (c % 2 * columns.count / 2 + c / 2) * kPanelRows;
    for (size_t r = 0; r < kPanelRows; r += kLanes) {
      hn::Store(load_weights<kKind>(column + r), FloatTag(), converted + r);
    }
  }
}

template <FloatKind kKind>
void multiply_scaled_panel(int group, const std::byte* panel, const HostTensor& x, int first_row,
                           int end_row, float (*sums)[kPanelRows]) {
  constexpr int kConvertOnce = 9;  // rows: from here on it pays
  alignas(64) float converted[kChunkColumns * kPanelRows];
  const size_t group_bytes = kPanelRows * (sizeof(float) + static_cast<size_t>(group));
  for (int first = 0; first < x.columns; first += group, panel += group_bytes) {
    const Columns columns = {panel + kPanelRows * sizeof(float), group,
                             reinterpret_cast<const float*>(panel)};
    if (end_row - first_row < kConvertOnce) {
      int row = first_row;
      const auto run = [&](auto rows) {
        for (; end_row - row >= rows; row += rows) {
          multiply_group<kKind, rows>(columns, x.row(row) + first, static_cast<size_t>(x.stride),
                                      row == first_row, sums + (row - first_row));
        }
      };
      run(std::integral_constant<int, 4>());
      run(std::integral_constant<int, 2>());
      run(std::integral_constant<int, 1>());
      continue;
    }
    convert_group<kKind>(columns, converted);
    for (int odd = 0; odd < 2; ++odd) {
      const float* half = converted + odd * group / 2 * kPanelRows;
      const std::byte* ahead = panel + group_bytes - kNearAhead + odd * (group_bytes / 2);
      multiply_all_rows<FloatKind::kF32, true>(
          {reinterpret_cast<const std::byte*>(half), group / 2, columns.scales}, x, first_row,
          end_row, first + odd, {ahead, kPanelRows}, sums);
    }
  }
}

void multiply_float_panel(const FloatLayout& layout, const std::byte* panel, const HostTensor& x,
                          int first_row, int end_row, float (*sums)[kPanelRows]) {
  std::memset(sums, 0, static_cast<size_t>(end_row - first_row) * sizeof(*sums));
  switch (layout.kind) {
    case FloatKind::kF32:
      return multiply_panel<FloatKind::kF32>(panel, x, first_row, end_row, sums);
    case FloatKind::kF16:
      return multiply_panel<FloatKind::kF16>(panel, x, first_row, end_row, sums);
    case FloatKind::kBF16:
      return multiply_panel<FloatKind::kBF16>(panel, x, first_row, end_row, sums);
    case FloatKind::kE4M3:
      return multiply_scaled_panel<FloatKind::kE4M3>(layout.group, panel, x, first_row, end_row,
                                                     sums);
    case FloatKind::kE5M2:
      return multiply_scaled_panel<FloatKind::kE5M2>(layout.group, panel, x, first_row, end_row,
                                                     sums);
  }
}

}  // namespace tessera::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tessera::cpu {

HWY_EXPORT(multiply_float_panel);

void multiply_float_panel(const FloatLayout& layout, const std::byte* panel, const HostTensor& x,
                          int first_row, int end_row, float (*sums)[kPanelRows]) {
  HWY_DYNAMIC_DISPATCH(multiply_float_panel)(layout, panel, x, first_row, end_row, sums);
}

namespace {

constexpr int kMostGroup = 128;

// Scaled floats of 8 bits, and nothing else.
bool find_scaled(const Format& format, FloatLayout& layout) {
  const QuantizedBlock* block = format.quantized;
  if (block == nullptr || block->values == nullptr || block->unit != 1.0f) return false;
  if (block->scaling != BlockScaling::kF16 && block->scaling != BlockScaling::kF32) return false;
  if (block->group != static_cast<int>(format.block_elements)) return false;
  if (block->values == e4m3_values()) {
    layout.kind = FloatKind::kE4M3;
  } else if (block->values == e5m2_values()) {
    layout.kind = FloatKind::kE5M2;
  } else {
    return false;
  }
  layout.group = std::min(block->group, kMostGroup);
  return true;
}

}  // namespace

size_t FloatLayout::panel_bytes(int columns) const {
  const size_t values = static_cast<size_t>(columns) * kPanelRows * value_bytes(kind);
  if (!is_scaled(kind)) return values;
  return values + static_cast<size_t>(columns / group) * kPanelRows * sizeof(float);
}

std::optional<FloatLayout> find_float_layout(const Format& format) {
  if (!format.supported()) return std::nullopt;
  FloatLayout layout = {.format = &format};
  if (&format == &kF16) {
    layout.kind = FloatKind::kF16;
  } else if (&format == &kBF16) {
    layout.kind = FloatKind::kBF16;
  } else {
    find_scaled(format, layout);
  }
  return layout;
}

namespace {

template <typename Bits>
void transpose(const std::byte* from, int rows, int columns, std::byte* to) {
  constexpr int kColumns = 64 / static_cast<int>(sizeof(Bits));  // a cache line of each row
  for (int first = 0; first < columns; first += kColumns) {
    const int end = std::min(columns, first + kColumns);
    for (int r = 0; r < kPanelRows; ++r) {
      for (int c = first; c < end; ++c) {
        Bits value = 0;
        if (r < rows)
          std::memcpy(&value, from + (static_cast<size_t>(r) * columns + c) * sizeof(Bits),
                      sizeof(Bits));
        std::memcpy(to + (static_cast<size_t>(c) * kPanelRows + r) * sizeof(Bits), &value,
                    sizeof(Bits));
      }
    }
  }
}

// Scaled floats of one row: see find_scaled.
void repack_scaled_row(const FloatLayout& layout, const std::byte* row, int r, int columns,
                       std::byte* panel) {
  const Format& format = *layout.format;
  const QuantizedBlock& block = *format.quantized;
  const size_t group_bytes = layout.panel_bytes(layout.group);
  BlockParts parts;
  for (int first = 0; first < columns; first += layout.group) {
    const int part = first % block.group;  // a larger group is cut
    if (part == 0) {
      block.split(reinterpret_cast<const uint8_t*>(row), parts);
      row += format.block_bytes;
    }
    float scale = block.scaling == BlockScaling::kF32 ? parts.scale : f16_to_f32(parts.d);
    for (int c = 0; c < layout.group; ++c) {
      const uint8_t code = parts.codes[part + c];
      panel[kPanelRows * (sizeof(float) + static_cast<size_t>(c)) + r] = std::byte{code};
      // The kernel has no NaN of E4M3: one in a row makes it what it becomes anyway.
      if (layout.kind == FloatKind::kE4M3 && std::isnan(block.values[code])) {
        scale = std::numeric_limits<float>::quiet_NaN();
      }
    }
    if (layout.kind == FloatKind::kE4M3) scale *= 0x1p8f;  // as load_weights expects it
    std::memcpy(panel + r * sizeof(float), &scale, sizeof(float));
    panel += group_bytes;
  }
}

}  // namespace

void repack_float_panel(const FloatLayout& layout, const std::byte* rows_begin, int rows,
                        int columns, std::byte* panel) {
  const size_t row_bytes = layout.format->row_bytes(static_cast<uint64_t>(columns));
  if (is_scaled(layout.kind)) {
    for (int r = 0; r < rows; ++r) {
      repack_scaled_row(layout, rows_begin + r * row_bytes, r, columns, panel);
    }
  } else if (layout.kind != FloatKind::kF32) {
    transpose<uint16_t>(rows_begin, rows, columns, panel);
  } else if (layout.format == &kF32) {
    transpose<uint32_t>(rows_begin, rows, columns, panel);
  } else {
    std::vector<float> values(static_cast<size_t>(rows) * static_cast<size_t>(columns));
    layout.format->decode(rows_begin, values);
    transpose<uint32_t>(reinterpret_cast<const std::byte*>(values.data()), rows, columns, panel);
  }
}

}  // namespace tessera::cpu
#endif
