// The kernel of float weights. The loop that matters is in `multiply_rows`.
//
// For each column: 2 loads (and conversions) of 16 weights and 2 fused multiply-adds for each row
// of activations. Each output has one accumulator, and columns go up one at a time (exactness), so
// the latency of the multiply-add (4 cycles) must be covered by different outputs: 24 of them with
// 12 rows. Many rows share a chunk of weights that was converted once, into the first-level cache;
// then nothing but the multiply-adds bounds. With 1 row it is 64 bytes of f16 in 4 cycles, beyond
// what memory delivers.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/float_panel.cc"
#include "base/simd/simd_targets.h"
//
#include <hwy/foreach_target.h>
//
#include <algorithm>
#include <cstring>

#include "backend/cpu/float_panel.h"
#include "backend/cpu/lanes.h"

HWY_BEFORE_NAMESPACE();
namespace tessera::cpu::HWY_NAMESPACE {

template <FloatKind kKind>
HWY_INLINE FloatVector load_weights(const std::byte* p) {
  const FloatTag df;
  if constexpr (kKind == FloatKind::kF32) {
    return hn::LoadU(df, reinterpret_cast<const float*>(p));
  } else if constexpr (kKind == FloatKind::kF16) {
    return load_f16(p);
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

// Adds `columns` columns of a panel to the sums of kRows rows of x, `x_stride` floats apart.
template <FloatKind kKind, int kRows>
HWY_NOINLINE void multiply_rows(const std::byte* weights, const float* x, size_t x_stride,
                                int columns, Stream stream, float (*sums)[kPanelRows]) {
  constexpr int kParts = kLanes < kPanelRows ? 2 : 1;  // at a time
  constexpr size_t kColumnBytes = kPanelRows * value_bytes(kKind);
  const FloatTag df;
  for (size_t part = 0; part < kPanelRows; part += kParts * kLanes) {
    FloatVector sum[kParts][kRows];
    unroll<kParts>([&](auto p) TESSERA_INLINE_LAMBDA {
      TESSERA_UNROLL for (int r = 0; r < kRows; ++r) {
        sum[p][r] = hn::Load(df, sums[r] + part + p * kLanes);
      }
    });
    for (int c = 0; c < columns; ++c) {
      const std::byte* column = weights + c * kColumnBytes;
      if (part == 0) {
        for (size_t line = 0; line < stream.stride; line += 64) {
          fetch_ahead(stream.next + c * stream.stride + line);
        }
      }
      unroll<kParts>([&](auto p) TESSERA_INLINE_LAMBDA {
        const FloatVector w =
            load_weights<kKind>(column + (part + p * kLanes) * value_bytes(kKind));
        TESSERA_UNROLL for (int r = 0; r < kRows; ++r) {
          sum[p][r] = hn::MulAdd(w, hn::Set(df, x[r * x_stride + c]), sum[p][r]);
        }
      });
    }
    unroll<kParts>([&](auto p) TESSERA_INLINE_LAMBDA {
      TESSERA_UNROLL for (int r = 0; r < kRows; ++r) {
        hn::Store(sum[p][r], df, sums[r] + part + p * kLanes);
      }
    });
  }
}

constexpr int kMostRows = kLanes >= 16 ? 12 : 4;  // that registers hold

// ... to those of any number of rows.
template <FloatKind kKind>
void multiply_all_rows(const std::byte* weights, const HostTensor& x, int first_row, int end_row,
                       int first_column, int columns, Stream stream, float (*sums)[kPanelRows]) {
  int row = first_row;
  const auto run = [&](auto rows) {
    for (; end_row - row >= rows; row += rows) {
      multiply_rows<kKind, rows>(weights, x.row(row) + first_column, static_cast<size_t>(x.stride),
                                 columns, stream, sums + (row - first_row));
      stream.stride = 0;  // the first pass has fetched
    }
  };
  run(std::integral_constant<int, kMostRows>());
  if constexpr (kMostRows > 8) run(std::integral_constant<int, 8>());
  if constexpr (kMostRows > 4) run(std::integral_constant<int, 4>());
  run(std::integral_constant<int, 1>());
}

template <FloatKind kKind>
HWY_NOINLINE void convert_columns(const std::byte* weights, int columns, float* to) {
  for (size_t i = 0; i < static_cast<size_t>(columns) * kPanelRows; i += kLanes) {
    hn::Store(load_weights<kKind>(weights + i * value_bytes(kKind)), FloatTag(), to + i);
  }
}

template <FloatKind kKind>
void multiply_panel(const std::byte* panel, const HostTensor& x, int first_row, int end_row,
                    float (*sums)[kPanelRows]) {
  constexpr int kColumns = 128;     // of a chunk
  constexpr int kConvertOnce = 17;  // rows: from here on it pays
  constexpr size_t kColumnBytes = kPanelRows * value_bytes(kKind);
  const int rows = end_row - first_row;
  alignas(64) float converted[kColumns * kPanelRows];
  std::memset(sums, 0, static_cast<size_t>(rows) * sizeof(*sums));
  for (int first = 0; first < x.columns; first += kColumns) {
    const int columns = std::min(kColumns, x.columns - first);
    const std::byte* weights = panel + first * kColumnBytes;
    if (kKind == FloatKind::kF32 || rows < kConvertOnce) {
      multiply_all_rows<kKind>(weights, x, first_row, end_row, first, columns,
                               {weights, kColumnBytes}, sums);
    } else {
      // What is converted must be there at once: it was fetched while the chunk before was
      // multiplied.
      convert_columns<kKind>(weights, columns, converted);
      multiply_all_rows<FloatKind::kF32>(
          reinterpret_cast<const std::byte*>(converted), x, first_row, end_row, first, columns,
          {weights + columns * kColumnBytes - kNearAhead, kColumnBytes}, sums);
    }
  }
}

void multiply_float_panel(FloatKind kind, const std::byte* panel, const HostTensor& x,
                          int first_row, int end_row, float (*sums)[kPanelRows]) {
  switch (kind) {
    case FloatKind::kF32:
      return multiply_panel<FloatKind::kF32>(panel, x, first_row, end_row, sums);
    case FloatKind::kF16:
      return multiply_panel<FloatKind::kF16>(panel, x, first_row, end_row, sums);
    case FloatKind::kBF16:
      return multiply_panel<FloatKind::kBF16>(panel, x, first_row, end_row, sums);
  }
}

}  // namespace tessera::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tessera::cpu {

HWY_EXPORT(multiply_float_panel);

void multiply_float_panel(FloatKind kind, const std::byte* panel, const HostTensor& x,
                          int first_row, int end_row, float (*sums)[kPanelRows]) {
  HWY_DYNAMIC_DISPATCH(multiply_float_panel)(kind, panel, x, first_row, end_row, sums);
}

bool find_float_kind(const Format& format, FloatKind& kind) {
  const std::pair<const Format*, FloatKind> kinds[] = {
      {&kF32, FloatKind::kF32}, {&kF16, FloatKind::kF16}, {&kBF16, FloatKind::kBF16}};
  for (const auto& [known, known_kind] : kinds) {
    if (known != &format) continue;
    kind = known_kind;
    return true;
  }
  return false;
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

}  // namespace

void repack_float_panel(FloatKind kind, const std::byte* rows_begin, int rows, int columns,
                        std::byte* panel) {
  if (kind == FloatKind::kF32) {
    transpose<uint32_t>(rows_begin, rows, columns, panel);
  } else {
    transpose<uint16_t>(rows_begin, rows, columns, panel);
  }
}

}  // namespace tessera::cpu
#endif
