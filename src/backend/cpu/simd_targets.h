// Which of Highway's targets are built. Included before any Highway header (see simd.h).
#pragma once

#include <hwy/detect_compiler_arch.h>

// AVX3_DL is AVX-512 with VNNI (Ice Lake, Zen 4 and later). SSSE3 and SVE are left out: CPUs with
// only the former are gone, and the compute layouts want a vector size known at compile time.
#define HWY_WANT_AVX3_DL
#define TESSERA_LEFT_OUT (HWY_SSSE3 | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#ifdef TESSERA_FEW_TARGETS  // sanitizer builds: instrumented kernels compile slowly
#define HWY_DISABLED_TARGETS (TESSERA_LEFT_OUT | HWY_SSE4 | HWY_AVX3)
#else
#define HWY_DISABLED_TARGETS TESSERA_LEFT_OUT
#endif

#include <hwy/targets.h>
