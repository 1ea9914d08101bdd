// Which of Highway's targets are built. Included before any Highway header (see simd.h).
#pragma once

#include <hwy/detect_compiler_arch.h>

// AVX3_DL is AVX-512 with VNNI (Ice Lake, Zen 4 and later). SSSE3 and SVE are left out: CPUs with
// only the former are gone, and the compute layouts want a vector size known at compile time.
#define HWY_WANT_AVX3_DL
#define TESSERA_NO_TARGETS (HWY_SSSE3 | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)

// A sanitizer's checks in unrolled kernels take compilers minutes for each target, the more the
// wider its vectors. The templates are the same for all: one target will do there.
#if defined(__has_feature)
#define TESSERA_HAS_FEATURE(x) __has_feature(x)
#else
#define TESSERA_HAS_FEATURE(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || \
    TESSERA_HAS_FEATURE(address_sanitizer) || TESSERA_HAS_FEATURE(thread_sanitizer)
#define HWY_DISABLED_TARGETS (TESSERA_NO_TARGETS | HWY_SSE4 | HWY_AVX3 | HWY_AVX3_DL)
#else
#define HWY_DISABLED_TARGETS TESSERA_NO_TARGETS
#endif

#include <hwy/targets.h>
