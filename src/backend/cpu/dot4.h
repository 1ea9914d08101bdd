// The 4 x int8 dot product that Highway 1.0 lacks: the one place with raw intrinsics.
// Read once for each target (see simd.h), hence the toggled include guard.
#if defined(TESSERA_CPU_DOT4_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TESSERA_CPU_DOT4_H
#undef TESSERA_CPU_DOT4_H
#else
#define TESSERA_CPU_DOT4_H
#endif

#include "backend/cpu/simd.h"

HWY_BEFORE_NAMESPACE();
namespace tessera::cpu::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// In every 32-bit lane: sum + w0 x0 + w1 x1 + w2 x2 + w3 x3, exactly, where w are the lane's bytes
// as uint8 and x as int8. Unless kWide, no w exceeds 127: then sums of two products fit 16 bits (2
// * 127 * 128 < 2^15), which halves the work of targets without a dot instruction.
#if HWY_TARGET == HWY_AVX3_DL

template <bool kWide, class D, class V = hn::Vec<D>>
HWY_INLINE V dot4(D /*di32*/, V sum, V w, V x) {
  return V{_mm512_dpbusd_epi32(sum.raw, w.raw, x.raw)};
}

#elif HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_SSE4

// uint8 x int8 products of neighbours, summed to int16; those of neighbours, to int32.
#if HWY_TARGET == HWY_AVX3
HWY_INLINE __m512i pair_sums(__m512i w, __m512i x) {
  return _mm512_madd_epi16(_mm512_maddubs_epi16(w, x), _mm512_set1_epi16(1));
}
#elif HWY_TARGET == HWY_AVX2
HWY_INLINE __m256i pair_sums(__m256i w, __m256i x) {
  return _mm256_madd_epi16(_mm256_maddubs_epi16(w, x), _mm256_set1_epi16(1));
}
#else
HWY_INLINE __m128i pair_sums(__m128i w, __m128i x) {
  return _mm_madd_epi16(_mm_maddubs_epi16(w, x), _mm_set1_epi16(1));
}
#endif

template <bool kWide, class D, class V = hn::Vec<D>>
HWY_INLINE V dot4(D di32, V sum, V w, V x) {
  if constexpr (!kWide) return hn::Add(sum, V{pair_sums(w.raw, x.raw)});
  // A single product fits (255 * 128 < 2^15), two might not: even bytes, then odd ones.
  const V even = hn::And(w, hn::Set(di32, 0x00ff00ff));
  const V odd = hn::AndNot(hn::Set(di32, 0x00ff00ff), w);
  sum = hn::Add(sum, V{pair_sums(even.raw, x.raw)});
  return hn::Add(sum, V{pair_sums(odd.raw, x.raw)});
}

#elif HWY_TARGET == HWY_NEON && defined(__ARM_FEATURE_DOTPROD)

template <bool kWide, class D, class V = hn::Vec<D>>
HWY_INLINE V dot4(D /*di32*/, V sum, V w, V x) {
  const int8x16_t xs = vreinterpretq_s8_s32(x.raw);
  if constexpr (!kWide) return V{vdotq_s32(sum.raw, vreinterpretq_s8_s32(w.raw), xs)};
  // w = w/2 + w/2 + w%2, each of which fits int8.
  const uint8x16_t wu = vreinterpretq_u8_s32(w.raw);
  const int8x16_t half = vreinterpretq_s8_u8(vshrq_n_u8(wu, 1));
  const int8x16_t rest = vreinterpretq_s8_u8(vandq_u8(wu, vdupq_n_u8(1)));
  return V{vdotq_s32(vdotq_s32(vdotq_s32(sum.raw, half, xs), half, xs), rest, xs)};
}

#elif HWY_TARGET == HWY_NEON && HWY_ARCH_ARM_A64

template <bool kWide, class D, class V = hn::Vec<D>>
HWY_INLINE V dot4(D /*di32*/, V sum, V w, V x) {
  const uint8x16_t wu = vreinterpretq_u8_s32(w.raw);
  const int8x16_t xs = vreinterpretq_s8_s32(x.raw);
  const int16x8_t w_low = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(wu)));
  const int16x8_t w_high = vreinterpretq_s16_u16(vmovl_high_u8(wu));
  const int16x8_t x_low = vmovl_s8(vget_low_s8(xs));
  const int16x8_t x_high = vmovl_high_s8(xs);
  const int32x4_t low =
      vpaddq_s32(vmull_s16(vget_low_s16(w_low), vget_low_s16(x_low)), vmull_high_s16(w_low, x_low));
  const int32x4_t high = vpaddq_s32(vmull_s16(vget_low_s16(w_high), vget_low_s16(x_high)),
                                    vmull_high_s16(w_high, x_high));
  return V{vaddq_s32(sum.raw, vpaddq_s32(low, high))};
}

#else  // any other target, in plain Highway

template <bool kWide, class D, class V = hn::Vec<D>>
HWY_INLINE V dot4(D di32, V sum, V w, V x) {
  const V byte = hn::Set(di32, 0xff);
  const auto product = [&](V wk, V xk) HWY_ATTR {  // of the lowest bytes
    return hn::Mul(hn::And(wk, byte), hn::ShiftRight<24>(hn::ShiftLeft<24>(xk)));
  };
  sum = hn::Add(sum, product(w, x));
  sum = hn::Add(sum, product(hn::ShiftRight<8>(w), hn::ShiftRight<8>(x)));
  sum = hn::Add(sum, product(hn::ShiftRight<16>(w), hn::ShiftRight<16>(x)));
  return hn::Add(sum, product(hn::ShiftRight<24>(w), hn::ShiftRight<24>(x)));
}

#endif

}  // namespace tessera::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // TESSERA_CPU_DOT4_H
