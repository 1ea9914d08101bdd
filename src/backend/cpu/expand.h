// Expands 256 columns of a panel from its compute layout to one common shape: codes of a byte each
// and f32 scales. The chunk stays in the first-level cache, where the dot kernel reads it once for
// every tile of rows; so there is one dot kernel, whatever the format, and a format costs only its
// shifts and masks here.
//
// Instructions for a block of 32 columns (512 weights) with AVX-512: 4-bit codes 4 loads, 4 shifts,
// 8 masks, 8 stores; the fifth or sixth bit adds 3 for each of the 8 vectors; scales 3 to 6. Read
// once for each target (see simd.h).
#if defined(TESSERA_CPU_EXPAND_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TESSERA_CPU_EXPAND_H
#undef TESSERA_CPU_EXPAND_H
#else
#define TESSERA_CPU_EXPAND_H
#endif

#include <bit>

#include "backend/cpu/lanes.h"
#include "backend/cpu/layout.h"
#include "backend/cpu/simd.h"

HWY_BEFORE_NAMESPACE();
namespace tessera::cpu::HWY_NAMESPACE {

struct Chunk {
  alignas(64) uint8_t codes[kPanelRows * kSuperBlock];     // quad vectors
  alignas(64) float scales[kSuperBlock / 16][kPanelRows];  // by 16 or by 32 columns
  alignas(64) float mins[kSuperBlock / 16][kPanelRows];
};

// --- codes. Planes are handled as 32-bit lanes: a mask after each shift removes what crossed a
// byte.

using CodeTag = hn::ScalableTag<uint32_t>;
using CodeVector = hn::Vec<CodeTag>;

// Bits [kFrom, kFrom + bits) of every byte moved to bit kTo; mask = (2^bits - 1) << kTo in every
// byte.
template <int kFrom, int kTo>
HWY_INLINE CodeVector move_bits(CodeVector v, CodeVector mask) {
  if constexpr (kFrom > kTo) v = hn::ShiftRight<kFrom - kTo>(v);
  if constexpr (kFrom < kTo) v = hn::ShiftLeft<kTo - kFrom>(v);
  return hn::And(v, mask);
}

// Quad kQuad of a block, or the part of it at byte `part`.
template <CodeKind kKind, int kQuad>
HWY_INLINE CodeVector load_quad(const uint8_t* block, size_t part) {
  const CodeTag d;
  const auto plane = [&](int vector) HWY_ATTR {
    return hn::Load(d, reinterpret_cast<const uint32_t*>(block + vector * kQuadBytes + part));
  };
  const auto low4 = [&]() HWY_ATTR {
    return move_bits<kQuad / 4 * 4, 0>(plane(kQuad % 4), hn::Set(d, 0x0f0f0f0fu));
  };
  const auto low2 = [&]() HWY_ATTR {
    return move_bits<kQuad / 2 * 2, 0>(plane(kQuad % 2), hn::Set(d, 0x03030303u));
  };
  if constexpr (kKind == CodeKind::k2) return low2();
  if constexpr (kKind == CodeKind::k3) {
    return hn::Or(low2(), move_bits<kQuad, 2>(plane(2), hn::Set(d, 0x04040404u)));
  }
  if constexpr (kKind == CodeKind::k4) return low4();
  if constexpr (kKind == CodeKind::k5) {
    return hn::Or(low4(), move_bits<kQuad, 4>(plane(4), hn::Set(d, 0x10101010u)));
  }
  if constexpr (kKind == CodeKind::k6) {
    return hn::Or(low4(),
                  move_bits<kQuad / 2 * 2, 4>(plane(4 + kQuad % 2), hn::Set(d, 0x30303030u)));
  }
}

HWY_INLINE CodeVector look_up(const uint8_t* table, CodeVector codes) {
#if HWY_TARGET == HWY_SCALAR
  uint32_t bytes = hn::GetLane(codes), out = 0;
  for (int k = 0; k < 32; k += 8) out |= static_cast<uint32_t>(table[(bytes >> k) & 15]) << k;
  return hn::Set(CodeTag(), out);
#else
  const hn::ScalableTag<uint8_t> d8;
  return hn::BitCast(CodeTag(),
                     hn::TableLookupBytes(hn::LoadDup128(d8, table), hn::BitCast(d8, codes)));
#endif
}

template <CodeKind kKind, bool kTable>
HWY_NOINLINE void expand_codes(const uint8_t* from, int blocks, const uint8_t* table, uint8_t* to) {
  constexpr int kVectors[] = {2, 3, 4, 5, 6};
  constexpr size_t kPrefetch = 4096;  // the stream runs on into the next chunk and the next panel
  const CodeTag d;
  for (int b = 0; b < blocks; ++b) {
    const uint8_t* block = from + b * kVectors[static_cast<int>(kKind)] * kQuadBytes;
    for (int v = 0; v < kVectors[static_cast<int>(kKind)]; ++v)
      __builtin_prefetch(block + kPrefetch + v * 64);
    for (size_t part = 0; part < kQuadBytes; part += 4 * kLanes) {
      unroll<8>([&](auto quad) TESSERA_INLINE_LAMBDA {
        CodeVector codes = load_quad<kKind, quad>(block, part);
        if constexpr (kTable) codes = look_up(table, codes);
        hn::Store(codes, d, reinterpret_cast<uint32_t*>(to + (b * 8 + quad) * kQuadBytes + part));
      });
    }
  }
}

// --- scales

HWY_INLINE FloatVector load_bytes(const uint8_t* p, bool is_signed) {
  const hn::Rebind<uint8_t, FloatTag> d8;
  const hn::Rebind<int8_t, FloatTag> ds8;
  const IntTag di;
  const auto v = hn::LoadU(d8, p);
  return hn::ConvertTo(FloatTag(),
                       is_signed ? hn::PromoteTo(di, hn::BitCast(ds8, v)) : hn::PromoteTo(di, v));
}

// 2^(e - 128), which is subnormal for e < 2.
HWY_INLINE FloatVector load_e8m0(const uint8_t* p) {
  const IntTag di;
  const auto e = hn::PromoteTo(di, hn::LoadU(hn::Rebind<uint8_t, FloatTag>(), p));
  const auto normal = hn::ShiftLeft<23>(hn::Sub(e, hn::Set(di, 1)));
  const auto subnormal =
      hn::IfThenElse(hn::Eq(e, hn::Zero(di)), hn::Set(di, 0x00200000), hn::Set(di, 0x00400000));
  return hn::BitCast(FloatTag(), hn::IfThenElse(hn::Lt(e, hn::Set(di, 2)), subnormal, normal));
}

// By blocks of 32: no more than an f16, or an exponent, each.
HWY_INLINE void expand_block_scales(ScaleKind kind, const uint8_t* from, int blocks, Chunk& chunk) {
  const FloatTag df;
  for (int b = 0; b < blocks; ++b) {
    for (size_t r = 0; r < kPanelRows; r += kLanes) {
      if (kind == ScaleKind::kE8M0) {
        hn::Store(load_e8m0(from + b * kPanelRows + r), df, chunk.scales[b] + r);
      } else if (kind == ScaleKind::kF16) {
        hn::Store(load_f16(from + (b * kPanelRows + r) * 2), df, chunk.scales[b] + r);
      } else {
        hn::Store(load_f16(from + (2 * b * kPanelRows + r) * 2), df, chunk.scales[b] + r);
        hn::Store(load_f16(from + ((2 * b + 1) * kPanelRows + r) * 2), df, chunk.mins[b] + r);
      }
    }
  }
}

// By super-blocks of 256: products of an f16 and an integer of at most 8 bits are exact in f32.
HWY_INLINE void expand_super_scales(ScaleKind kind, const uint8_t* from, Chunk& chunk) {
  const FloatTag df;
  const int count = kSuperBlock / scale_columns(kind);
  const uint8_t* subs = from + (has_min(kind) ? 4 : 2) * kPanelRows;
  for (size_t r = 0; r < kPanelRows; r += kLanes) {
    const auto d = load_f16(from + 2 * r);
    if (kind == ScaleKind::kK16Min4) {
      const auto dmin = hn::Neg(load_f16(from + 2 * (kPanelRows + r)));
      const auto sixteenth = hn::Set(df, 1.0f / 16);
      for (int j = 0; j < count; ++j) {
        const auto both = load_bytes(subs + j * kPanelRows + r, false);
        const auto m = hn::Floor(hn::Mul(both, sixteenth));
        hn::Store(hn::Mul(d, hn::NegMulAdd(m, hn::Set(df, 16.0f), both)), df, chunk.scales[j] + r);
        hn::Store(hn::Mul(dmin, m), df, chunk.mins[j] + r);
      }
      continue;
    }
    for (int j = 0; j < count; ++j) {
      hn::Store(hn::Mul(d, load_bytes(subs + j * kPanelRows + r, true)), df, chunk.scales[j] + r);
    }
    if (kind == ScaleKind::kK32Min) {
      const auto dmin = hn::Neg(load_f16(from + 2 * (kPanelRows + r)));
      for (int j = 0; j < count; ++j) {
        const auto m = load_bytes(subs + (count + j) * kPanelRows + r, true);
        hn::Store(hn::Mul(dmin, m), df, chunk.mins[j] + r);
      }
    }
  }
}

// --- both, for columns [first, first + 32 * blocks), first a multiple of 256

inline void expand_scales(ScaleKind kind, const uint8_t* scales, int first, int blocks,
                          Chunk& chunk) {
  const auto at = [&](size_t bytes_each) HWY_ATTR {  // of one row, in 256 columns
    return scales + static_cast<size_t>(first) / kSuperBlock * bytes_each * kPanelRows;
  };
  switch (kind) {  // constant kinds, so that each case is compiled without branches
    case ScaleKind::kF16:
      return expand_block_scales(ScaleKind::kF16, at(16), blocks, chunk);
    case ScaleKind::kF16Min:
      return expand_block_scales(ScaleKind::kF16Min, at(32), blocks, chunk);
    case ScaleKind::kE8M0:
      return expand_block_scales(ScaleKind::kE8M0, at(8), blocks, chunk);
    case ScaleKind::kK32:
      return expand_super_scales(ScaleKind::kK32, at(10), chunk);
    case ScaleKind::kK32Min:
      return expand_super_scales(ScaleKind::kK32Min, at(20), chunk);
    case ScaleKind::kK16:
      return expand_super_scales(ScaleKind::kK16, at(18), chunk);
    case ScaleKind::kK16Min4:
      return expand_super_scales(ScaleKind::kK16Min4, at(20), chunk);
  }
}

// Returns the codes: the chunk's, or the panel's own where they are bytes already.
inline const uint8_t* expand_codes(const Layout& layout, const uint8_t* panel, int first,
                                   int blocks, Chunk& chunk) {
  const uint8_t* from = panel + layout.code_bytes(first);
  uint8_t* to = chunk.codes;
  switch (layout.codes) {
    case CodeKind::k2:
      expand_codes<CodeKind::k2, false>(from, blocks, nullptr, to);
      break;
    case CodeKind::k3:
      expand_codes<CodeKind::k3, false>(from, blocks, nullptr, to);
      break;
    case CodeKind::k4:
      if (layout.table != nullptr) {
        expand_codes<CodeKind::k4, true>(from, blocks, layout.table, to);
      } else {
        expand_codes<CodeKind::k4, false>(from, blocks, nullptr, to);
      }
      break;
    case CodeKind::k5:
      expand_codes<CodeKind::k5, false>(from, blocks, nullptr, to);
      break;
    case CodeKind::k6:
      expand_codes<CodeKind::k6, false>(from, blocks, nullptr, to);
      break;
    case CodeKind::k8:
      return from;
  }
  return to;
}

}  // namespace tessera::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // TESSERA_CPU_EXPAND_H
