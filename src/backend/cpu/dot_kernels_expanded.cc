// Kernels of codes that were expanded to bytes (dot_kernels.h).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/dot_kernels_expanded.cc"
#include "base/simd/simd_targets.h"
//
#include <hwy/foreach_target.h>
//
#include "backend/cpu/dot_kernels-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tessera::cpu::HWY_NAMESPACE {

template <int kMaxCode, int kScaleColumns, bool kMin, Lookup kLookup = Lookup::kNone>
constexpr MultiplyTile kExpanded =
    multiply_tile<kKindOf<CodeKind::k8, kMaxCode, kScaleColumns, kMin, kLookup>, false, kTileRows>;

MultiplyTile choose_expanded_kernel(const Layout& layout) {
  using enum CodeKind;
  const bool min = has_min(layout.scales);
  if (layout.lookup == Lookup::kWide) return kExpanded<255, 32, false, Lookup::kWide>;
  if (layout.lookup == Lookup::kTable)
    return layout.scale_columns == 16 ? kExpanded<255, 16, false> : kExpanded<255, 32, false>;
  switch (layout.codes) {
    case k2:
      return min ? kExpanded<3, 16, true> : kExpanded<3, 32, false>;
    case k3:
      return min ? kExpanded<7, 32, true> : kExpanded<7, 16, false>;
    case k4:
      return min ? kExpanded<15, 32, true> : kExpanded<15, 32, false>;
    case k5:
      return min ? kExpanded<31, 32, true> : kExpanded<31, 32, false>;
    case k6:
      return kExpanded<63, 16, false>;
    case k8:
      break;
  }
  return min ? kExpanded<255, 32, true> : kExpanded<255, 32, false>;
}

}  // namespace tessera::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tessera::cpu {

HWY_EXPORT(choose_expanded_kernel);

MultiplyTile expanded_kernel(const Layout& layout) {
  return HWY_DYNAMIC_DISPATCH(choose_expanded_kernel)(layout);
}

}  // namespace tessera::cpu
#endif
