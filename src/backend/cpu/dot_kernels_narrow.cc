// Kernels of codes of 2 to 4 bits (dot_kernels.h).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/dot_kernels_narrow.cc"
#include "base/simd/simd_targets.h"
//
#include <hwy/foreach_target.h>
//
#include "backend/cpu/dot_kernels-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tessera::cpu::HWY_NAMESPACE {

AloneKernels choose_alone_kernels_of_narrow_codes(const Layout& layout) {
  using enum CodeKind;
  const bool min = has_min(layout.scales);
  if (layout.codes == k2) {
    return min ? alone_kernels<kKindOf<k2, 3, 16, true>>()
               : alone_kernels<kKindOf<k2, 3, 32, false>>();
  }
  if (layout.codes == k3) {
    return min ? alone_kernels<kKindOf<k3, 7, 32, true>>()
               : alone_kernels<kKindOf<k3, 7, 16, false>>();
  }
  return min ? alone_kernels<kKindOf<k4, 15, 32, true>>()
             : alone_kernels<kKindOf<k4, 15, 32, false>>();
}

}  // namespace tessera::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tessera::cpu {

HWY_EXPORT(choose_alone_kernels_of_narrow_codes);

AloneKernels alone_kernels_of_narrow_codes(const Layout& layout) {
  return HWY_DYNAMIC_DISPATCH(choose_alone_kernels_of_narrow_codes)(layout);
}

}  // namespace tessera::cpu
#endif
