// The kernel of float weights. The loop that matters is in `multiply_rows`.
//
// For each column: 1 load (and conversion) of 16 weights and one fused multiply-add for each row of
// activations. Each output has one accumulator, and columns go up one at a time (exactness), so the
// latency of the multiply-add (4 cycles) must be covered by different outputs: two panels at a time
// where rows are few. With 1 row that is 64 to 128 bytes of weights in 4 cycles, beyond what memory
// delivers.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/float_panel.cc"
#include "backend/cpu/simd_targets.h"
//
#include <hwy/foreach_target.h>
//
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

// `kRows` rows of x, `stride` floats apart, with kPanels panels that lie `panel_bytes` apart. The
// 16 rows of a panel take one accumulator for each part of kLanes.
template <FloatKind kKind, int kRows, int kPanels>
HWY_NOINLINE void multiply_rows(const std::byte* panel, size_t panel_bytes, const float* x,
                                size_t stride, int columns,
                                float (*sums)[kFloatPanels * kPanelRows]) {
  constexpr int kParts = kPanelRows / static_cast<int>(kLanes);
  constexpr int kVectors = kPanels * kParts;
  constexpr size_t kBytes = value_bytes(kKind);
  const FloatTag df;
  FloatVector sum[kRows * kVectors];
  unroll<kRows * kVectors>([&](auto i) TESSERA_INLINE_LAMBDA { sum[i] = hn::Zero(df); });
  for (int c = 0; c < columns; ++c) {
    const std::byte* column = panel + c * kPanelRows * kBytes;
    FloatVector w[kVectors];
    unroll<kVectors>([&](auto v) TESSERA_INLINE_LAMBDA {
      w[v] = load_weights<kKind>(column + v / kParts * panel_bytes + v % kParts * kLanes * kBytes);
    });
    unroll<kRows>([&](auto r) TESSERA_INLINE_LAMBDA {
      const FloatVector xr = hn::Set(df, x[r * stride + c]);
      unroll<kVectors>([&](auto v) TESSERA_INLINE_LAMBDA {
        sum[r * kVectors + v] = hn::MulAdd(w[v], xr, sum[r * kVectors + v]);
      });
    });
  }
  unroll<kRows>([&](auto r) TESSERA_INLINE_LAMBDA {
    unroll<kVectors>([&](auto v) TESSERA_INLINE_LAMBDA {
      hn::StoreU(sum[r * kVectors + v], df, sums[r] + v * kLanes);
    });
  });
}

template <FloatKind kKind, int kPanels>
void multiply_panels(const std::byte* panel, const Tensor& x, int first_row, int end_row,
                     float (*sums)[kFloatPanels * kPanelRows]) {
  const size_t bytes = float_panel_bytes(kKind, x.columns);
  const size_t stride = static_cast<size_t>(x.stride);
  constexpr int kMost = kLanes >= 16  ? 8
                        : kLanes == 8 ? 4
                        : kLanes == 4 ? 2
                                      : 1;  // that registers hold
  int row = first_row;
  const auto run = [&](auto rows) {
    for (; end_row - row >= rows; row += rows) {
      multiply_rows<kKind, rows, kPanels>(panel, bytes, x.row(row), stride, x.columns,
                                          sums + (row - first_row));
    }
  };
  if constexpr (kMost >= 8) run(std::integral_constant<int, 8>());
  if constexpr (kMost >= 4) run(std::integral_constant<int, 4>());
  if constexpr (kMost >= 2) run(std::integral_constant<int, 2>());
  run(std::integral_constant<int, 1>());
}

template <FloatKind kKind>
void multiply_panels(const std::byte* panel, int panels, const Tensor& x, int first_row,
                     int end_row, float (*sums)[kFloatPanels * kPanelRows]) {
  if (panels == 2) {
    multiply_panels<kKind, 2>(panel, x, first_row, end_row, sums);
  } else {
    multiply_panels<kKind, 1>(panel, x, first_row, end_row, sums);
  }
}

void multiply_float_panels(FloatKind kind, const std::byte* panel, int panels, const Tensor& x,
                           int first_row, int end_row, float (*sums)[kFloatPanels * kPanelRows]) {
  switch (kind) {
    case FloatKind::kF32:
      return multiply_panels<FloatKind::kF32>(panel, panels, x, first_row, end_row, sums);
    case FloatKind::kF16:
      return multiply_panels<FloatKind::kF16>(panel, panels, x, first_row, end_row, sums);
    case FloatKind::kBF16:
      return multiply_panels<FloatKind::kBF16>(panel, panels, x, first_row, end_row, sums);
  }
}

}  // namespace tessera::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tessera::cpu {

HWY_EXPORT(multiply_float_panels);

void multiply_float_panels(FloatKind kind, const std::byte* panel, int panels, const Tensor& x,
                           int first_row, int end_row, float (*sums)[kFloatPanels * kPanelRows]) {
  HWY_DYNAMIC_DISPATCH(multiply_float_panels)(kind, panel, panels, x, first_row, end_row, sums);
}

bool find_float_kind(const Format& format, FloatKind& kind) {
  const std::pair<const Format*, FloatKind> kinds[] = {
      {&kF32, FloatKind::kF32}, {&kF16, FloatKind::kF16}, {&kBF16, FloatKind::kBF16}};
  for (const auto& [known, known_kind] : kinds) {
    if (known->ggml_type != format.ggml_type) continue;
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
