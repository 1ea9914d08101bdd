// The codes of a chunk as bytes, whatever its layout. Read once for each target (see simd.h).
#if defined(TESSERA_CPU_EXPAND_CODES_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TESSERA_CPU_EXPAND_CODES_H
#undef TESSERA_CPU_EXPAND_CODES_H
#else
#define TESSERA_CPU_EXPAND_CODES_H
#endif

#include <cstring>

#include "backend/cpu/expand.h"
#include "backend/cpu/spread.h"

HWY_BEFORE_NAMESPACE();
namespace tessera::cpu::HWY_NAMESPACE {

// Returns where the codes lie: in `to`, or where they were if they are bytes already.
inline const uint8_t* unpack_codes(const Layout& layout, const uint8_t* from, int blocks,
                                   uint8_t* to) {
  switch (layout.codes) {
    case CodeKind::k2:
      expand_codes<CodeKind::k2, Lookup::kNone>(from, blocks, layout, to);
      break;
    case CodeKind::k3:
      expand_codes<CodeKind::k3, Lookup::kNone>(from, blocks, layout, to);
      break;
    case CodeKind::k4:
      if (layout.lookup == Lookup::kWide) {
        expand_codes<CodeKind::k4, Lookup::kWide>(from, blocks, layout, to);
      } else if (layout.lookup == Lookup::kTable) {
        expand_codes<CodeKind::k4, Lookup::kTable>(from, blocks, layout, to);
      } else {
        expand_codes<CodeKind::k4, Lookup::kNone>(from, blocks, layout, to);
      }
      break;
    case CodeKind::k5:
      expand_codes<CodeKind::k5, Lookup::kNone>(from, blocks, layout, to);
      break;
    case CodeKind::k6:
      expand_codes<CodeKind::k6, Lookup::kNone>(from, blocks, layout, to);
      break;
    case CodeKind::k8:
      return from;
  }
  return to;
}

// --- sparse codes

inline void spread_codes(const uint8_t* codes, const uint8_t* masks, int blocks, uint8_t zero,
                         uint8_t* to) {
  for (int i = 0; i < blocks * kMaskBytes; i += 8, to += 64) {
    uint64_t mask;
    std::memcpy(&mask, masks + i, sizeof(mask));
    codes = spread_bytes(codes, mask, zero, to);
  }
}

inline const uint8_t* masks_of(const Layout& layout, const uint8_t* codes, int blocks) {
  return codes + layout.code_bytes(blocks) - blocks * kMaskBytes;
}

// Those of a chunk that are stored, and as many bytes more as vectors may read; where they lie.
inline const uint8_t* unpack_kept(const Layout& layout, const uint8_t* from, int blocks,
                                  Chunk& chunk) {
  return unpack_codes(layout, from, layout.kept_blocks(blocks), chunk.kept);
}

// The codes of a chunk; where they lie.
inline const uint8_t* expand_codes(const Layout& layout, const uint8_t* from, int blocks,
                                   Chunk& chunk) {
  if (!layout.is_sparse()) return unpack_codes(layout, from, blocks, chunk.codes);
  spread_codes(unpack_kept(layout, from, blocks, chunk), masks_of(layout, from, blocks), blocks,
               static_cast<uint8_t>(layout.zero_point), chunk.codes);
  return chunk.codes;
}

}  // namespace tessera::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // TESSERA_CPU_EXPAND_CODES_H
