// Which layout suits what a format's blocks are made of.
#include "backend/cpu/layout.h"

#include <algorithm>

namespace tessera::cpu {
namespace {

// The kernels that there are (quantized.cc), those for narrow codes first.
struct KernelKind {
  int bits;  // of a code, at most
  CodeKind codes;
  int scale_columns;
  bool has_min, has_table;
};
constexpr KernelKind kKernels[] = {
    {2, CodeKind::k2, 16, true, false},  {3, CodeKind::k3, 16, false, false},
    {4, CodeKind::k4, 32, false, false}, {4, CodeKind::k4, 32, true, false},
    {4, CodeKind::k4, 32, false, true},  {5, CodeKind::k5, 32, false, false},
    {5, CodeKind::k5, 32, true, false},  {6, CodeKind::k6, 16, false, false},
    {8, CodeKind::k8, 32, false, false},
};

std::optional<CodeKind> find_codes(const QuantizedBlock& block) {
  const auto* found = std::ranges::find_if(kKernels, [&](const KernelKind& kernel) {
    return kernel.bits >= block.code_bits && kernel.scale_columns == block.group &&
           kernel.has_min == block.has_min && kernel.has_table == (block.levels != nullptr);
  });
  if (found == std::end(kKernels)) return std::nullopt;
  return found->codes;
}

std::optional<ScaleKind> find_scales(const QuantizedBlock& block, int block_elements) {
  const bool min = block.has_min;
  if (block.scaling == BlockScaling::kTwoLevel) {
    if (block_elements != kSuperBlock) return std::nullopt;
    if (block.group == 32) return min ? ScaleKind::kK32Min : ScaleKind::kK32;
    if (block.group == 16 && !min) return ScaleKind::kK16;
    if (block.group == 16 && block.scale_bits <= 4) return ScaleKind::kK16Min4;
    return std::nullopt;
  }
  if (block_elements != kBlock || block.group != kBlock) return std::nullopt;
  if (block.scaling == BlockScaling::kF16) return min ? ScaleKind::kF16Min : ScaleKind::kF16;
  return min ? std::nullopt : std::optional(ScaleKind::kE8M0);
}

size_t round_up(size_t n, size_t to) {
  return (n + to - 1) / to * to;
}

}  // namespace

std::optional<Layout> find_layout(const Format& format) {
  if (format.quantized == nullptr) return std::nullopt;
  const QuantizedBlock& block = *format.quantized;
  const std::optional<CodeKind> codes = find_codes(block);
  const std::optional<ScaleKind> scales =
      find_scales(block, static_cast<int>(format.block_elements));
  if (!codes || !scales) return std::nullopt;
  if (block.has_min && block.zero_point != 0) return std::nullopt;  // kernels have one or the other
  Layout layout = {&format, *codes, *scales, block.zero_point, block.levels != nullptr, {}};
  if (layout.has_table) {
    layout.zero_point = kLevelZero;
    for (int i = 0; i < 1 << block.code_bits; ++i) {
      layout.table[i] = static_cast<uint8_t>(block.levels[i] + kLevelZero);
    }
  }
  return layout;
}

size_t Layout::code_bytes(int blocks) const {
  return static_cast<size_t>(blocks * code_vectors(codes)) * kQuadBytes;
}

size_t Layout::scale_bytes(int blocks) const {
  const auto row_bytes = [&] {
    switch (scales) {
      case ScaleKind::kF16:
        return blocks * 2;
      case ScaleKind::kF16Min:
        return blocks * 4;
      case ScaleKind::kE8M0:
        return blocks;
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
