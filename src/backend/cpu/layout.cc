// Which layout suits what a format's blocks are made of.
#include "backend/cpu/layout.h"

#include <algorithm>
#include <cmath>

namespace tessera::cpu {
namespace {

// The kernels that there are (dot_kernels.h), those for narrow codes first.
struct KernelKind {
  int bits;  // of a code, at most
  CodeKind codes;
  int scale_columns;
  bool has_min;
  Lookup lookup = Lookup::kNone;
};
constexpr KernelKind kKernels[] = {
    {2, CodeKind::k2, 32, false},
    {2, CodeKind::k2, 16, true},
    {3, CodeKind::k3, 16, false},
    {3, CodeKind::k3, 32, true},
    {4, CodeKind::k4, 32, false},
    {4, CodeKind::k4, 32, true},
    {5, CodeKind::k5, 32, false},
    {5, CodeKind::k5, 32, true},
    {6, CodeKind::k6, 16, false},
    {8, CodeKind::k8, 32, false},
    {8, CodeKind::k8, 32, true},
    {4, CodeKind::k4, 32, false, Lookup::kTable},
    {4, CodeKind::k4, 16, false, Lookup::kTable},
    {4, CodeKind::k4, 32, false, Lookup::kWide},
};

bool is_by_group(ScaleKind kind) {
  return kind <= ScaleKind::kF32Zero;
}

const KernelKind* find_kernel(const QuantizedBlock& block, ScaleKind scales, Lookup lookup) {
  const auto* found = std::ranges::find_if(kKernels, [&](const KernelKind& kernel) {
    const bool columns = is_by_group(scales) ? block.group % kernel.scale_columns == 0
                                             : block.group == kernel.scale_columns;
    return columns && kernel.bits >= block.code_bits && kernel.has_min == has_min(scales) &&
           kernel.lookup == lookup;
  });
  return found == std::end(kKernels) ? nullptr : found;
}

std::optional<ScaleKind> find_scales(const QuantizedBlock& block, int block_elements) {
  const bool min = block.has_min, zero = block.has_zero;
  // Kernels have one of these.
  if (int{min} + int{zero} + int{block.zero_point != 0} > 1) return std::nullopt;
  if (block.scaling == BlockScaling::kTwoLevel) {
    if (block_elements != kSuperBlock) return std::nullopt;
    if (block.group == 32) return min ? ScaleKind::kK32Min : ScaleKind::kK32;
    if (block.group == 16 && !min) return ScaleKind::kK16;
    if (block.group == 16 && block.scale_bits <= 4) return ScaleKind::kK16Min4;
    return std::nullopt;
  }
  if (block.scaling == BlockScaling::kE4M3) {
    if (min || zero || block.group != 16 || block_elements % kBlock != 0) return std::nullopt;
    return ScaleKind::kE4M3;
  }
  if (block_elements != block.group || kSuperBlock % block.group != 0) return std::nullopt;
  if (block.scaling == BlockScaling::kF16) {
    return min ? ScaleKind::kF16Min : zero ? ScaleKind::kF16Zero : ScaleKind::kF16;
  }
  if (block.scaling == BlockScaling::kF32) {
    return min ? ScaleKind::kF32Min : zero ? ScaleKind::kF32Zero : ScaleKind::kF32;
  }
  return min || zero || block.group != kBlock ? std::nullopt : std::optional(ScaleKind::kE8M0);
}

// Levels of a codebook: those of 4 bits become tables, others are as they were. False if there is
// no table for them.
bool find_levels(const QuantizedBlock& block, Layout& layout) {
  if (block.levels == nullptr && block.values == nullptr) return true;
  const int count = 1 << block.code_bits;
  if (count > static_cast<int>(layout.table.size())) return false;
  layout.zero_point = kLevelZero;
  layout.lookup = Lookup::kTable;
  if (block.levels != nullptr) {
    for (int i = 0; i < count; ++i) {
      layout.table[i] = static_cast<uint8_t>(block.levels[i] + kLevelZero);
    }
    return true;
  }

  double largest = 0;
  for (int i = 0; i < count; ++i) largest = std::max<double>(largest, std::fabs(block.values[i]));
  // Value i is about level(i, steps) * largest / steps.
  const auto level = [&](int i, int steps) { return block.values[i] / largest * steps; };
  const auto error = [&](int steps) {
    double most = 0;
    for (int i = 0; i < count; ++i) {
      most = std::max(most, std::fabs(level(i, steps) - std::nearbyint(level(i, steps))));
    }
    return most / steps;
  };
  constexpr double kExact = 1e-9;
  int exponent;
  for (int steps = 1; steps <= 127; ++steps) {
    if (error(steps) > kExact || std::frexp(largest / steps, &exponent) != 0.5) continue;
    layout.unit *= static_cast<float>(largest / steps);
    for (int i = 0; i < count; ++i) {
      layout.table[i] = static_cast<uint8_t>(std::lrint(level(i, steps)) + kLevelZero);
    }
    return true;
  }
  // 16 bits, by as many steps as suit the values best. Multiples of 192 have FP4's exactly.
  constexpr int kMostSteps = 170 * 192, kStride = 192;
  int best = kMostSteps;
  for (int steps = kMostSteps; steps > kMostSteps / 2; steps -= kStride) {
    if (error(steps) < error(best)) best = steps;
  }
  layout.lookup = Lookup::kWide;
  layout.unit *= static_cast<float>(largest / best);
  for (int i = 0; i < count; ++i) {
    const auto wide = static_cast<int>(std::lrint(level(i, best))) + 256 * kLevelZero;
    layout.table[i] = static_cast<uint8_t>(wide / 256);
    layout.low_table[i] = static_cast<uint8_t>(wide % 256);
  }
  return true;
}

size_t round_up(size_t n, size_t to) {
  return (n + to - 1) / to * to;
}

}  // namespace

std::optional<Layout> find_layout(const Format& format) {
  if (format.quantized == nullptr) return std::nullopt;
  const QuantizedBlock& block = *format.quantized;
  const std::optional<ScaleKind> scales =
      find_scales(block, static_cast<int>(format.block_elements));
  Layout layout{};
  layout.zero_point = block.zero_point;
  layout.unit = block.unit;
  if (!scales || !find_levels(block, layout)) return std::nullopt;
  const KernelKind* kernel = find_kernel(block, *scales, layout.lookup);
  if (kernel == nullptr) return std::nullopt;
  layout.format = &format;
  layout.codes = kernel->codes;
  layout.scales = *scales;
  layout.scale_columns = kernel->scale_columns;
  layout.group = block.group;
  return layout;
}

size_t Layout::code_bytes(int blocks) const {
  const size_t masks = is_sparse() ? static_cast<size_t>(blocks) * kMaskBytes : 0;
  return static_cast<size_t>(kept_blocks(blocks) * code_vectors(codes)) * kQuadBytes + masks;
}

size_t Layout::scale_bytes(int blocks) const {
  const auto row_bytes = [&] {
    switch (scales) {
      case ScaleKind::kF16:
      case ScaleKind::kF16Min:
      case ScaleKind::kF16Zero:
      case ScaleKind::kF32:
      case ScaleKind::kF32Min:
      case ScaleKind::kF32Zero:
        return blocks * kBlock / group * group_bytes(scales);
      case ScaleKind::kE8M0:
        return blocks;
      case ScaleKind::kE4M3:
        return blocks * 2;
      case ScaleKind::kK32:
        return 2 + 8;
      case ScaleKind::kK32Min:
        return 4 + 8 + 8;
      case ScaleKind::kK16:
        return 2 + 16;
      case ScaleKind::kK16Min4:
        return 4 + 16;
    }
    return 0;
  };
  return round_up(static_cast<size_t>(row_bytes()) * kPanelRows, 64);
}

}  // namespace tessera::cpu
