// Google Highway with the targets that Tessera builds its kernels for. Every file with kernels
// includes this instead of <hwy/highway.h>, in the way of Highway's foreach_target:
//
//   #undef HWY_TARGET_INCLUDE
//   #define HWY_TARGET_INCLUDE "backend/cpu/this_file.cc"
//   #include "base/simd/simd_targets.h"
//   #include <hwy/foreach_target.h>
//   #include "base/simd/simd.h"
//
//   HWY_BEFORE_NAMESPACE();
//   namespace tessera::cpu { namespace HWY_NAMESPACE { ... kernels ... } }
//   HWY_AFTER_NAMESPACE();
//   #if HWY_ONCE  ... HWY_EXPORT, HWY_DYNAMIC_DISPATCH ...  #endif
//
// No include guard: it is read once for each target.
#include "base/simd/simd_targets.h"
//
#include <hwy/highway.h>

// Highway 1.0 detects AVX512-VNNI before it picks AVX3_DL, but compiles that target without it.
#if HWY_TARGET == HWY_AVX3_DL
#undef HWY_TARGET_STR
#define HWY_TARGET_STR                                                           \
  HWY_TARGET_STR_AVX3                                                            \
  ",vpclmulqdq,avx512vbmi,avx512vbmi2,vaes,avxvnni,avx512bitalg,avx512vpopcntdq" \
  ",avx512vnni"
#endif
