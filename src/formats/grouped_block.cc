#include "formats/grouped_block.h"

#include <cstring>

namespace tessera {
namespace {

// What decides where the parts of a block lie.
template <int kGroup, bool kF32Scales, GroupedOffset kOffset, ScaleScope kScope>
struct Bytes {
  static constexpr GroupedKind kKind = {
      .f32_scales = kF32Scales, .offset = kOffset, .group = kGroup, .scope = kScope};
  static constexpr size_t kOffsetAt = kKind.scale_bytes();
  static constexpr size_t kCodesAt = kOffsetAt + kKind.offset_bytes() + kKind.note_bytes();

  static void split(const uint8_t* block, BlockParts& parts) {
    if constexpr (kF32Scales) {
      std::memcpy(&parts.scale, block, sizeof(parts.scale));
      if constexpr (kOffset == GroupedOffset::kMin)
        std::memcpy(&parts.min, block + kOffsetAt, sizeof(parts.min));
    } else {
      std::memcpy(&parts.d, block, sizeof(parts.d));
      if constexpr (kOffset == GroupedOffset::kMin)
        std::memcpy(&parts.m, block + kOffsetAt, sizeof(parts.m));
    }
    if constexpr (kOffset == GroupedOffset::kZero) parts.zero = block[kOffsetAt];
    std::memcpy(parts.codes, block + kCodesAt, kGroup);
  }

  static void join(const BlockParts& parts, uint8_t* block) {
    std::memcpy(block + kCodesAt, parts.codes, kGroup);
    if constexpr (kScope == ScaleScope::kGroup) {
      if constexpr (kF32Scales) {
        std::memcpy(block, &parts.scale, sizeof(parts.scale));
        if constexpr (kOffset == GroupedOffset::kMin)
          std::memcpy(block + kOffsetAt, &parts.min, sizeof(parts.min));
      } else {
        std::memcpy(block, &parts.d, sizeof(parts.d));
        if constexpr (kOffset == GroupedOffset::kMin)
          std::memcpy(block + kOffsetAt, &parts.m, sizeof(parts.m));
      }
      if constexpr (kOffset == GroupedOffset::kZero) block[kOffsetAt] = parts.zero;
    }
  }
};

struct Both {
  SplitBlock split;
  JoinBlock join;
};

template <int kGroup, bool kF32Scales, GroupedOffset kOffset, ScaleScope kScope>
Both both() {
  using Parts = Bytes<kGroup, kF32Scales, kOffset, kScope>;
  return {Parts::split, Parts::join};
}

template <int kGroup, bool kF32Scales>
Both by_offset(GroupedOffset offset) {
  switch (offset) {
    case GroupedOffset::kNone:
      break;
    case GroupedOffset::kZero:
      return both<kGroup, kF32Scales, GroupedOffset::kZero, ScaleScope::kGroup>();
    case GroupedOffset::kMin:
      return both<kGroup, kF32Scales, GroupedOffset::kMin, ScaleScope::kGroup>();
  }
  return both<kGroup, kF32Scales, GroupedOffset::kNone, ScaleScope::kGroup>();
}

template <int kGroup>
Both by_scale(const GroupedKind& kind) {
  constexpr GroupedOffset kNone = GroupedOffset::kNone;
  switch (kind.scope) {
    case ScaleScope::kGroup:
      break;
    case ScaleScope::kRow:
      return both<kGroup, true, kNone, ScaleScope::kRow>();
    case ScaleScope::kMatrix:
      return both<kGroup, true, kNone, ScaleScope::kMatrix>();
    case ScaleScope::kNested:
      return both<kGroup, true, kNone, ScaleScope::kNested>();
    case ScaleScope::kE4M3:
      return both<kGroup, true, kNone, ScaleScope::kE4M3>();
  }
  return kind.f32_scales ? by_offset<kGroup, true>(kind.offset)
                         : by_offset<kGroup, false>(kind.offset);
}

Both by_group(const GroupedKind& kind) {
  switch (kind.group) {
    case 16:
      return by_scale<16>(kind);
    case 32:
      return by_scale<32>(kind);
    case 64:
      return by_scale<64>(kind);
    case 128:
      return by_scale<128>(kind);
    default:
      return by_scale<256>(kind);
  }
}

}  // namespace

SplitBlock split_of(const GroupedKind& kind) {
  return by_group(kind).split;
}

JoinBlock join_of(const GroupedKind& kind) {
  return by_group(kind).join;
}

}  // namespace tessera
