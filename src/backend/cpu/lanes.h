// Small helpers of the kernels over the rows of a panel. Read once for each target (see simd.h).
#if defined(TESSERA_CPU_LANES_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TESSERA_CPU_LANES_H
#undef TESSERA_CPU_LANES_H
#else
#define TESSERA_CPU_LANES_H
#endif

#include <cstring>
#include <utility>

#include "base/simd/simd.h"

// For lambdas handed to unroll(): compiled for the target, and never a call.
#define TESSERA_INLINE_LAMBDA HWY_ATTR __attribute__((always_inline))

// Before an innermost loop over registers. Cheaper to compile than unroll().
#if defined(__clang__)
#define TESSERA_UNROLL _Pragma("clang loop unroll(full)")
#else
#define TESSERA_UNROLL _Pragma("GCC unroll 16")
#endif

HWY_BEFORE_NAMESPACE();
namespace tessera::cpu::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// The rows of a panel are walked in parts of kLanes.
using FloatTag = hn::ScalableTag<float>;
using IntTag = hn::ScalableTag<int32_t>;
using FloatVector = hn::Vec<FloatTag>;
using IntVector = hn::Vec<IntTag>;
constexpr size_t kLanes = HWY_LANES(float);
static_assert(kLanes <= 16 && 16 % kLanes == 0);

// Whether MulAdd rounds once.
constexpr bool kHasMulAdd =
    HWY_TARGET != HWY_SSE4 && HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128;

// f(0), f(1), ... f(n - 1), each index a constant: the arrays of vectors that f indexes become
// registers.
template <size_t... kIndex, class F>
HWY_INLINE void unroll(std::index_sequence<kIndex...>, F&& f) {
  (f(std::integral_constant<int, static_cast<int>(kIndex)>()), ...);
}
template <int kCount, class F>
HWY_INLINE void unroll(F&& f) {
  unroll(std::make_index_sequence<kCount>(), std::forward<F>(f));
}

// Fetches what a kernel that streams weights from `p` on will read later, in its next chunk or the
// next panel: into the second-level cache from far, into the first from near. From far into the
// first alone would occupy its few fill buffers for as long as memory takes.
constexpr size_t kNearAhead = 2048, kFarAhead = 8192;
HWY_INLINE void fetch_ahead(const void* p) {
  __builtin_prefetch(static_cast<const char*>(p) + kFarAhead, 0, 2);
  __builtin_prefetch(static_cast<const char*>(p) + kNearAhead);
}

// 32 bits in every lane.
HWY_INLINE IntVector broadcast(const int8_t* quad) {
  int32_t bits;
  std::memcpy(&bits, quad, sizeof(bits));
  return hn::Set(IntTag(), bits);
}

// The values of kLanes f16. Highway's own conversion where there is no instruction takes infinity
// for 65536.
using HalfBitsTag = hn::Rebind<uint16_t, FloatTag>;
HWY_INLINE FloatVector f16_values(hn::Vec<HalfBitsTag> half) {
  const FloatTag df;
#if HWY_TARGET == HWY_SSE4 || HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128
  const IntTag di;
  const auto bits = hn::PromoteTo(di, half);
  const auto magnitude = hn::ShiftLeft<13>(hn::And(bits, hn::Set(di, 0x7fff)));
  // The exponent's bias is wrong by 112; the product mends it, for subnormal values too.
  const auto scaled = hn::BitCast(di, hn::Mul(hn::BitCast(df, magnitude), hn::Set(df, 0x1p112f)));
  const auto special = hn::Gt(magnitude, hn::Set(di, (0x7c00 << 13) - 1));  // infinity, NaN
  const auto value = hn::IfThenElse(special, hn::Or(magnitude, hn::Set(di, 0x7f800000)), scaled);
  return hn::BitCast(df, hn::Or(value, hn::ShiftLeft<16>(hn::And(bits, hn::Set(di, 0x8000)))));
#else
  return hn::PromoteTo(df, hn::BitCast(hn::Rebind<hwy::float16_t, FloatTag>(), half));
#endif
}

HWY_INLINE FloatVector load_f16(const void* p) {
  return f16_values(hn::LoadU(HalfBitsTag(), static_cast<const uint16_t*>(p)));
}

}  // namespace tessera::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // TESSERA_CPU_LANES_H
