// From a panel's compute layout to what the dot kernel multiplies: vectors of byte codes, f32
// scales. A format costs only its shifts and masks here. Few rows of activations take codes right
// from load_quad; many share a chunk of 256 columns that was expanded once, into the first-level
// cache.
//
// Instructions for a block of 32 columns (512 weights) with AVX-512: 4-bit codes 4 loads, 4 shifts,
// 8 masks; the fifth or sixth bit adds 3 for each of the 8 vectors; scales 3 to 6. Read once for
// each target (see simd.h).
#if defined(TESSERA_CPU_EXPAND_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TESSERA_CPU_EXPAND_H
#undef TESSERA_CPU_EXPAND_H
#else
#define TESSERA_CPU_EXPAND_H
#endif

#include <bit>
#include <cstddef>

#include "backend/cpu/lanes.h"
#include "backend/cpu/layout.h"
#include "base/simd/simd.h"

HWY_BEFORE_NAMESPACE();
namespace tessera::cpu::HWY_NAMESPACE {

constexpr size_t kPlaneBytes = size_t{kPanelRows} * kSuperBlock;

struct Chunk {                                             // 256 columns, expanded
  alignas(64) uint8_t codes[kPlaneBytes];                  // quad vectors
  alignas(64) float scales[kSuperBlock / 16][kPanelRows];  // by 16 or by 32 columns
  alignas(64) float mins[kSuperBlock / 16][kPanelRows];
  alignas(64) uint8_t low_codes[kPlaneBytes];  // of wide layouts
  alignas(64) uint8_t kept[kPlaneBytes];       // of sparse codes, unpacked
};
constexpr size_t kLowPlane = offsetof(Chunk, low_codes);  // from a code to its low one

// --- codes. Planes are handled as 32-bit lanes: a mask after each shift removes what crossed a
// byte.

using CodeTag = hn::ScalableTag<uint32_t>;
using CodeVector = hn::Vec<CodeTag>;

// Moves bit kFrom of every byte to bit kTo, and the others along.
template <int kFrom, int kTo>
HWY_INLINE CodeVector shift_bits(CodeVector v) {
  if constexpr (kFrom > kTo) return hn::ShiftRight<kFrom - kTo>(v);
  if constexpr (kFrom < kTo) return hn::ShiftLeft<kTo - kFrom>(v);
  return v;
}

// Quad kQuad of a block, or the part of it at byte `part`.
template <CodeKind kKind, int kQuad>
HWY_INLINE CodeVector load_quad(const uint8_t* block, size_t part) {
  const CodeTag d;
  const auto plane = [&](int vector) HWY_ATTR {
    return hn::Load(d, reinterpret_cast<const uint32_t*>(block + vector * kQuadBytes + part));
  };
  const auto low4 = [&]() HWY_ATTR {
    return hn::And(shift_bits<kQuad / 4 * 4, 0>(plane(kQuad % 4)), hn::Set(d, 0x0f0f0f0fu));
  };
  const auto low2 = [&]() HWY_ATTR {
    return hn::And(shift_bits<kQuad / 2 * 2, 0>(plane(kQuad % 2)), hn::Set(d, 0x03030303u));
  };
  if constexpr (kKind == CodeKind::k2) return low2();
  if constexpr (kKind == CodeKind::k3) {
    return hn::OrAnd(low2(), shift_bits<kQuad, 2>(plane(2)), hn::Set(d, 0x04040404u));
  }
  if constexpr (kKind == CodeKind::k4) return low4();
  if constexpr (kKind == CodeKind::k5) {
    return hn::OrAnd(low4(), shift_bits<kQuad, 4>(plane(4)), hn::Set(d, 0x10101010u));
  }
  if constexpr (kKind == CodeKind::k6) {
    return hn::OrAnd(low4(), shift_bits<kQuad / 2 * 2, 4>(plane(4 + kQuad % 2)),
                     hn::Set(d, 0x30303030u));
  }
  if constexpr (kKind == CodeKind::k8) return plane(kQuad);
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

// ... of a layout whose codes are looked up, if they are and have not been yet; the tables are
// those of its Layout.
template <CodeKind kKind, Lookup kLookup, int kQuad>
HWY_INLINE CodeVector load_codes(const uint8_t* block, size_t part, const uint8_t* table) {
  const CodeVector codes = load_quad<kKind, kQuad>(block, part);
  return kLookup == Lookup::kNone || kKind == CodeKind::k8 ? codes : look_up(table, codes);
}

// The low codes of a wide layout; of one that is expanded, they are in its Chunk too.
template <CodeKind kKind, int kQuad>
HWY_INLINE CodeVector load_low_codes(const uint8_t* block, size_t part, const uint8_t* low_table) {
  if constexpr (kKind == CodeKind::k8) return load_quad<kKind, kQuad>(block + kLowPlane, part);
  return look_up(low_table, load_quad<kKind, kQuad>(block, part));
}

template <CodeKind kKind, Lookup kLookup>
HWY_NOINLINE void expand_codes(const uint8_t* from, int blocks, const Layout& layout, uint8_t* to) {
  const CodeTag d;
  for (int b = 0; b < blocks; ++b) {
    const uint8_t* block = from + b * code_vectors(kKind) * kQuadBytes;
    for (size_t part = 0; part < kQuadBytes; part += 4 * kLanes) {
      unroll<8>([&](auto quad) TESSERA_INLINE_LAMBDA {
        uint8_t* out = to + (b * 8 + quad) * kQuadBytes + part;
        hn::Store(load_codes<kKind, kLookup, quad>(block, part, layout.table.data()), d,
                  reinterpret_cast<uint32_t*>(out));
        if constexpr (kLookup == Lookup::kWide) {
          hn::Store(load_low_codes<kKind, quad>(block, part, layout.low_table.data()), d,
                    reinterpret_cast<uint32_t*>(out + kLowPlane));
        }
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

// By groups of columns, each of which gives `copies` scales of the kernel, or kCopies unless that
// is 0.
template <ScaleKind kKind, int kCopies>
HWY_INLINE void expand_copied_scales(const Layout& layout, int copies, const uint8_t* from,
                                     int count, Chunk& chunk) {
  constexpr size_t kBytes = kKind < ScaleKind::kF32 ? 2 : 4;  // of a scale, or a min
  const FloatTag df;
  const auto load = [&](const uint8_t* p) HWY_ATTR {
    return kBytes == 2 ? load_f16(p) : hn::LoadU(df, reinterpret_cast<const float*>(p));
  };
  if constexpr (kCopies > 0) copies = kCopies;
  const auto unit = hn::Set(df, layout.unit);
  for (int first = 0; first < count; first += copies, from += group_bytes(kKind) * kPanelRows) {
    const uint8_t* offsets = from + kBytes * kPanelRows;
    for (size_t r = 0; r < kPanelRows; r += kLanes) {
      const auto scale = hn::Mul(load(from + kBytes * r), unit);
      for (int i = first; i < first + copies; ++i) hn::Store(scale, df, chunk.scales[i] + r);
      if constexpr (has_min(kKind)) {
        const auto min = has_zero(kKind) ? hn::Neg(hn::Mul(scale, load_bytes(offsets + r, false)))
                                         : load(offsets + kBytes * r);
        for (int i = first; i < first + copies; ++i) hn::Store(min, df, chunk.mins[i] + r);
      }
    }
  }
}

template <ScaleKind kKind>
HWY_INLINE void expand_group_scales(const Layout& layout, const uint8_t* from, int blocks,
                                    Chunk& chunk) {
  const int copies = layout.group / layout.scale_columns;
  const int count = blocks * kBlock / layout.scale_columns;
  if (copies == 1) return expand_copied_scales<kKind, 1>(layout, copies, from, count, chunk);
  expand_copied_scales<kKind, 0>(layout, copies, from, count, chunk);
}

// By blocks of 32: an exponent each.
HWY_INLINE void expand_e8m0_scales(const uint8_t* from, int blocks, Chunk& chunk) {
  for (int b = 0; b < blocks; ++b) {
    for (size_t r = 0; r < kPanelRows; r += kLanes) {
      hn::Store(load_e8m0(from + b * kPanelRows + r), FloatTag(), chunk.scales[b] + r);
    }
  }
}

// By 16 columns. The bits of a float of 4 exponent and 3 mantissa bits, moved to where an f32 has
// its own, are a float that is 2^120 times smaller, for subnormal ones too.
HWY_INLINE void expand_e4m3_scales(const Layout& layout, const uint8_t* from, int blocks,
                                   Chunk& chunk) {
  const FloatTag df;
  const IntTag di;
  const auto unit = hn::Set(df, 0x1p120f * layout.unit);
  for (int i = 0; i < 2 * blocks; ++i) {
    for (size_t r = 0; r < kPanelRows; r += kLanes) {
      const hn::Rebind<uint8_t, FloatTag> d8;
      const auto bits = hn::ShiftLeft<20>(hn::PromoteTo(di, hn::LoadU(d8, from)));
      hn::Store(hn::Mul(hn::BitCast(df, bits), unit), df, chunk.scales[i] + r);
      from += kLanes;
    }
  }
}

// By super-blocks of 256: products of an f16 and an integer of at most 8 bits are exact in f32.
template <ScaleKind kind>
HWY_INLINE void expand_super_scales(const Layout& layout, const uint8_t* from, Chunk& chunk) {
  const FloatTag df;
  constexpr int count = kind == ScaleKind::kK32 || kind == ScaleKind::kK32Min ? 8 : 16;
  const uint8_t* subs = from + (has_min(kind) ? 4 : 2) * kPanelRows;
  for (size_t r = 0; r < kPanelRows; r += kLanes) {
    const auto d = hn::Mul(load_f16(from + 2 * r), hn::Set(df, layout.unit));
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

inline void expand_scales(const Layout& layout, const uint8_t* from, int blocks, Chunk& chunk) {
  switch (layout.scales) {
    case ScaleKind::kF16:
      return expand_group_scales<ScaleKind::kF16>(layout, from, blocks, chunk);
    case ScaleKind::kF16Min:
      return expand_group_scales<ScaleKind::kF16Min>(layout, from, blocks, chunk);
    case ScaleKind::kF16Zero:
      return expand_group_scales<ScaleKind::kF16Zero>(layout, from, blocks, chunk);
    case ScaleKind::kF32:
      return expand_group_scales<ScaleKind::kF32>(layout, from, blocks, chunk);
    case ScaleKind::kF32Min:
      return expand_group_scales<ScaleKind::kF32Min>(layout, from, blocks, chunk);
    case ScaleKind::kF32Zero:
      return expand_group_scales<ScaleKind::kF32Zero>(layout, from, blocks, chunk);
    case ScaleKind::kE8M0:
      return expand_e8m0_scales(from, blocks, chunk);
    case ScaleKind::kE4M3:
      return expand_e4m3_scales(layout, from, blocks, chunk);
    case ScaleKind::kK32:
      return expand_super_scales<ScaleKind::kK32>(layout, from, chunk);
    case ScaleKind::kK32Min:
      return expand_super_scales<ScaleKind::kK32Min>(layout, from, chunk);
    case ScaleKind::kK16:
      return expand_super_scales<ScaleKind::kK16>(layout, from, chunk);
    case ScaleKind::kK16Min4:
      return expand_super_scales<ScaleKind::kK16Min4>(layout, from, chunk);
  }
}

}  // namespace tessera::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // TESSERA_CPU_EXPAND_H
