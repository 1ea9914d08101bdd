// From values without gaps to where a mask has ones: what Highway 1.0 lacks, so with raw
// intrinsics. Read once for each target (see simd.h).
#if defined(TESSERA_CPU_SPREAD_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TESSERA_CPU_SPREAD_H
#undef TESSERA_CPU_SPREAD_H
#else
#define TESSERA_CPU_SPREAD_H
#endif

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/simd/simd.h"

HWY_BEFORE_NAMESPACE();
namespace tessera::cpu::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Does this target spread values in less time than memory takes to deliver what they spare?
constexpr bool kSpreadsFast = HWY_TARGET == HWY_AVX3_DL;

#if HWY_TARGET != HWY_AVX3_DL && HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128
// For each mask of 8: from which code each of the 8 comes; 128: from none.
using Origins = std::array<std::array<uint8_t, 8>, 256>;
constexpr Origins make_origins() {
  Origins origins{};
  for (size_t mask = 0; mask < origins.size(); ++mask) {
    uint8_t next = 0;
    for (size_t i = 0; i < 8; ++i) origins[mask][i] = (mask >> i) & 1 ? next++ : 128;
  }
  return origins;
}
alignas(64) inline constexpr Origins kOrigins = make_origins();
#endif

#if HWY_TARGET == HWY_AVX3_DL
// Reads them one vector after the other.
class SparseCodes {
 public:
  SparseCodes(const uint8_t* codes, uint8_t zero)
      : codes_(codes), zero_(_mm512_set1_epi8(static_cast<char>(zero))) {}
  HWY_INLINE __m512i next(uint64_t mask) {
    const __m512i spread = _mm512_mask_expand_epi8(zero_, mask, _mm512_loadu_si512(codes_));
    codes_ += __builtin_popcountll(mask);
    return spread;
  }

 private:
  const uint8_t* codes_;
  __m512i zero_;
};
#endif

// Codes where the mask has ones, `zero` where it has none, 64 at a time; may read 64 bytes from the
// last code on. Returns where the codes end.
HWY_INLINE const uint8_t* spread_bytes(const uint8_t* codes, uint64_t mask, uint8_t zero,
                                       uint8_t* to) {
#if HWY_TARGET == HWY_AVX3_DL
  _mm512_store_si512(to, SparseCodes(codes, zero).next(mask));
  return codes + __builtin_popcountll(mask);
#elif HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128
  for (int i = 0; i < 64; ++i) to[i] = (mask >> i) & 1 ? *codes++ : zero;
  return codes;
#else
  const hn::FixedTag<uint8_t, 8> d;
  const hn::RebindToSigned<decltype(d)> ds;
  for (int i = 0; i < 64; i += 8) {
    const auto bits = static_cast<uint8_t>(mask >> i);
    const auto origins = hn::Load(d, kOrigins[bits].data());
    const auto absent = hn::BitCast(d, hn::BroadcastSignBit(hn::BitCast(ds, origins)));
    const auto spread = hn::TableLookupBytesOr0(hn::LoadU(d, codes), origins);
    hn::Store(hn::OrAnd(spread, absent, hn::Set(d, zero)), d, to + i);
    codes += __builtin_popcount(bits);
  }
  return codes;
#endif
}

}  // namespace tessera::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // TESSERA_CPU_SPREAD_H
