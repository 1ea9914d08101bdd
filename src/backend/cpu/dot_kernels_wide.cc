// Kernels of codes of 5 to 8 bits, of those that are looked up, and of sparse ones (dot_kernels.h).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/dot_kernels_wide.cc"
#include "base/simd/simd_targets.h"
//
#include <hwy/foreach_target.h>
//
#include "backend/cpu/dot_kernels-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tessera::cpu::HWY_NAMESPACE {

AloneKernels choose_alone_kernels_of_wide_codes(const Layout& layout) {
  using enum CodeKind;
  const bool min = has_min(layout.scales);
  switch (layout.lookup) {
    case Lookup::kWide:
      return alone_kernels<kKindOf<k4, 255, 32, false, Lookup::kWide>>();
    case Lookup::kTable:
      return layout.scale_columns == 16
                 ? alone_kernels<kKindOf<k4, 255, 16, false, Lookup::kTable>>()
                 : alone_kernels<kKindOf<k4, 255, 32, false, Lookup::kTable>>();
    case Lookup::kNone:
      break;
  }
  if (layout.is_sparse()) return alone_kernels_of_sparse_codes();
  if (layout.codes == k5) {
    return min ? alone_kernels<kKindOf<k5, 31, 32, true>>()
               : alone_kernels<kKindOf<k5, 31, 32, false>>();
  }
  if (layout.codes == k6) return alone_kernels<kKindOf<k6, 63, 16, false>>();
  return min ? alone_kernels<kKindOf<k8, 255, 32, true>>()
             : alone_kernels<kKindOf<k8, 255, 32, false>>();
}

}  // namespace tessera::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tessera::cpu {

HWY_EXPORT(choose_alone_kernels_of_wide_codes);

AloneKernels alone_kernels_of_wide_codes(const Layout& layout) {
  return HWY_DYNAMIC_DISPATCH(choose_alone_kernels_of_wide_codes)(layout);
}

}  // namespace tessera::cpu
#endif
