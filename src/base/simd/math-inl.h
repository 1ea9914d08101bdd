// Vector exp and tanh for the kernels: within 2 ulp, the same bits in every lane and on every call.
// Included once for each instruction set (Highway's foreach_target), so no #pragma once.
#if defined(TESSERA_BASE_SIMD_MATH_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TESSERA_BASE_SIMD_MATH_INL_H
#undef TESSERA_BASE_SIMD_MATH_INL_H
#else
#define TESSERA_BASE_SIMD_MATH_INL_H
#endif

#include "base/simd/simd.h"

HWY_BEFORE_NAMESPACE();
namespace tessera::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// e^x. Exactly 1 at 0 and exactly 0 below -87.33 (the last normal result), 2^127.5 above 88.37;
// NaN stays NaN. Cody-Waite reduction to |r| <= ln(2)/2, then the polynomial of Cephes' expf.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exp_approx(D d, V x) {
  const hn::RebindToSigned<D> di;
  const V lowest = hn::Set(d, -87.33f), highest = hn::Set(d, 88.37f);
  const auto vanishes = hn::Lt(x, lowest);
  // By comparisons, which NaN fails: what Min and Max make of it differs between machines.
  V clamped = hn::IfThenElse(vanishes, lowest, x);
  clamped = hn::IfThenElse(hn::Gt(x, highest), highest, clamped);
  // Near 1.5 x 2^23 floats are integers: the sum's lowest bits are the rounded exponent.
  const V magic = hn::Set(d, 12582912.0f);
  const V shifted = hn::MulAdd(clamped, hn::Set(d, 1.44269504088896341f), magic);
  const V n = hn::Sub(shifted, magic);
  V r = hn::NegMulAdd(n, hn::Set(d, 0.693359375f), clamped);  // ln 2 in two parts
  r = hn::NegMulAdd(n, hn::Set(d, -2.12194440e-4f), r);
  V p = hn::Set(d, 1.9875691500e-4f);
  p = hn::MulAdd(p, r, hn::Set(d, 1.3981999507e-3f));
  p = hn::MulAdd(p, r, hn::Set(d, 8.3334519073e-3f));
  p = hn::MulAdd(p, r, hn::Set(d, 4.1665795894e-2f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.6666665459e-1f));
  p = hn::MulAdd(p, r, hn::Set(d, 5.0000001201e-1f));
  p = hn::MulAdd(p, hn::Mul(r, r), hn::Add(r, hn::Set(d, 1.0f)));
  const auto biased = hn::Add(hn::BitCast(di, shifted), hn::Set(di, 127));
  const V power = hn::BitCast(d, hn::ShiftLeft<23>(biased));  // 2^n
  return hn::IfThenZeroElse(vanishes, hn::Mul(p, power));
}

// tanh x, accurate near 0 as well: the polynomial of Cephes' tanhf, and from 0.625 on by exp.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V tanh_approx(D d, V x) {
  const V one = hn::Set(d, 1.0f);
  const V magnitude = hn::Abs(x);
  const V e = exp_approx(d, hn::Add(magnitude, magnitude));
  const V far = hn::Sub(one, hn::Div(hn::Set(d, 2.0f), hn::Add(e, one)));
  const V z = hn::Mul(x, x);
  V p = hn::Set(d, -5.70498872745e-3f);
  p = hn::MulAdd(p, z, hn::Set(d, 2.06390887954e-2f));
  p = hn::MulAdd(p, z, hn::Set(d, -5.37397155531e-2f));
  p = hn::MulAdd(p, z, hn::Set(d, 1.33314422036e-1f));
  p = hn::MulAdd(p, z, hn::Set(d, -3.33332819422e-1f));
  const V near = hn::MulAdd(hn::Mul(p, z), x, x);
  return hn::IfThenElse(hn::Lt(magnitude, hn::Set(d, 0.625f)), near, hn::CopySign(far, x));
}

}  // namespace tessera::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
