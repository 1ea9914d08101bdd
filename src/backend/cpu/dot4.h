// The 4 x int8 dot product that Highway 1.0 lacks: the one place with raw intrinsics.
// Read once for each target (see simd.h), hence the toggled include guard.
#if defined(TESSERA_CPU_DOT4_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TESSERA_CPU_DOT4_H
#undef TESSERA_CPU_DOT4_H
#else
#define TESSERA_CPU_DOT4_H
#endif

#include "backend/cpu/lanes.h"
#include "base/simd/simd.h"

HWY_BEFORE_NAMESPACE();
namespace tessera::cpu::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// In every 32-bit lane: sum + w0 x0 + w1 x1 + w2 x2 + w3 x3, exactly, where w are the lane's bytes
// as uint8 and x as int8, which is never -128. Unless kWide, no w exceeds 127.
#if HWY_TARGET == HWY_AVX3_DL

template <bool kWide, class D, class V = hn::Vec<D>>
HWY_INLINE V dot4(D /*di32*/, V sum, V w, V x) {
  return V{_mm512_dpbusd_epi32(sum.raw, w.raw, x.raw)};
}

#elif HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_SSE4
#define TESSERA_DOT_BY_PAIRS 1

// product_pairs: uint8 x int8 products of neighbours, summed to int16. add_pairs: their sums.
// widen_pairs: sums of int16 neighbours times `factor`, int32.
#if HWY_TARGET == HWY_AVX3
using RawInt = __m512i;
HWY_INLINE RawInt product_pairs(RawInt w, RawInt x) {
  return _mm512_maddubs_epi16(w, x);
}
HWY_INLINE RawInt add_pairs(RawInt a, RawInt b) {
  return _mm512_add_epi16(a, b);
}
HWY_INLINE RawInt widen_pairs(RawInt a, short factor) {
  return _mm512_madd_epi16(a, _mm512_set1_epi16(factor));
}
#elif HWY_TARGET == HWY_AVX2
using RawInt = __m256i;
HWY_INLINE RawInt product_pairs(RawInt w, RawInt x) {
  return _mm256_maddubs_epi16(w, x);
}
HWY_INLINE RawInt add_pairs(RawInt a, RawInt b) {
  return _mm256_add_epi16(a, b);
}
HWY_INLINE RawInt widen_pairs(RawInt a, short factor) {
  return _mm256_madd_epi16(a, _mm256_set1_epi16(factor));
}
#else
using RawInt = __m128i;
HWY_INLINE RawInt product_pairs(RawInt w, RawInt x) {
  return _mm_maddubs_epi16(w, x);
}
HWY_INLINE RawInt add_pairs(RawInt a, RawInt b) {
  return _mm_add_epi16(a, b);
}
HWY_INLINE RawInt widen_pairs(RawInt a, short factor) {
  return _mm_madd_epi16(a, _mm_set1_epi16(factor));
}
#endif

template <bool kWide, class D, class V = hn::Vec<D>>
HWY_INLINE V dot4(D /*di32*/, V sum, V w, V x) {
  static_assert(!kWide, "wide codes go through Dot");
  return hn::Add(sum, V{widen_pairs(product_pairs(w.raw, x.raw), 1)});
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

// --- the dot of kQuads quad vectors of codes, none above kMaxCode, with one row of activations:
//   DotCodes w = dot_codes<kMaxCode>(vector);  Dot dot(start);
//   dot.add<quad, kQuads>(w, x) for quad = 0 .. kQuads - 1;  dot.sum()

// dot_class(c): the kMaxCode to use for codes of at most c; kernels of one class are the same.

#ifndef TESSERA_DOT_BY_PAIRS

constexpr int dot_class(int max_code) {
  return max_code <= 127 && HWY_TARGET != HWY_AVX3_DL ? 127 : 255;
}

template <int kMaxCode>
HWY_INLINE IntVector dot_codes(IntVector codes) {
  return codes;
}

template <int kMaxCode>
class Dot {
 public:
  HWY_INLINE Dot() {}  // an implicit one is compiled for no target
  HWY_INLINE void start(IntVector from) { sum_ = from; }
  template <int kQuad, int kQuads>
  HWY_INLINE void add(IntVector w, IntVector x) {
    sum_ = dot4<(kMaxCode > 127)>(IntTag(), sum_, w, x);
  }
  HWY_INLINE IntVector sum() const { return sum_; }

 private:
  IntVector sum_;
};

#else

// Without a dot instruction the small codes are summed as int16 pairs for as long as they fit: one
// multiplication and one addition a quad instead of two and one. Codes above 63 go as two nibbles.
struct Nibbles {
  IntVector low, high;
};

constexpr int dot_class(int max_code) {
  return max_code <= 15 ? 15 : max_code <= 31 ? 31 : max_code <= 63 ? 63 : 255;
}

template <int kMaxCode>
HWY_INLINE auto dot_codes(IntVector codes) {
  if constexpr (kMaxCode <= 63) {
    return codes;
  } else {
    const auto nibble = hn::Set(IntTag(), 0x0f0f0f0f);
    return Nibbles{hn::And(codes, nibble), hn::And(hn::ShiftRight<4>(codes), nibble)};
  }
}

template <int kMaxCode>
class Dot {
 public:
  HWY_INLINE Dot() {}
  HWY_INLINE void start(IntVector from) { sum_ = from; }

  template <int kQuad, int kQuads>
  HWY_INLINE void add(IntVector w, IntVector x) {
    constexpr int kFit = 32767 / (2 * 127 * kMaxCode);  // pairs whose sum fits int16
    const RawInt product = product_pairs(w.raw, x.raw);
    pairs_.raw = kQuad % kFit == 0 ? product : add_pairs(pairs_.raw, product);
    if constexpr (kQuad % kFit == kFit - 1 || kQuad == kQuads - 1) {
      sum_ = hn::Add(sum_, IntVector{widen_pairs(pairs_.raw, 1)});
    }
  }

  template <int kQuad, int kQuads>
  HWY_INLINE void add(const Nibbles& w, IntVector x) {
    static_assert(kQuads <= 8);
    const RawInt low = product_pairs(w.low.raw, x.raw), high = product_pairs(w.high.raw, x.raw);
    pairs_.raw = kQuad == 0 ? low : add_pairs(pairs_.raw, low);
    high_pairs_.raw = kQuad == 0 ? high : add_pairs(high_pairs_.raw, high);
    if constexpr (kQuad == kQuads - 1) {
      sum_ = hn::Add(sum_, IntVector{widen_pairs(pairs_.raw, 1)});
      sum_ = hn::Add(sum_, IntVector{widen_pairs(high_pairs_.raw, 16)});
    }
  }

  HWY_INLINE IntVector sum() const { return sum_; }

 private:
  IntVector sum_, pairs_, high_pairs_;
};

#undef TESSERA_DOT_BY_PAIRS
#endif

}  // namespace tessera::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // TESSERA_CPU_DOT4_H
