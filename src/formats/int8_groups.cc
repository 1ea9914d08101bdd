#include "formats/int8_groups.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"
#include "formats/grouped.h"

namespace tessera {
namespace {

constexpr int kZeroPoint = 128;

template <int kGroup>
void encode(std::span<const float> src, std::byte* dst, std::span<const float>) {
  constexpr GroupedKind kKind = {
      .bits = 8, .f32_scales = true, .zero_point = kZeroPoint, .group = kGroup};
  for (size_t at = 0; at < src.size(); at += kGroup, dst += kKind.block_bytes()) {
    const auto group = src.subspan(at, kGroup);
    float most = 0;
    for (const float x : group) {
      if (!std::isfinite(x)) fail("{} cannot be encoded in INT8", x);
      most = std::max(most, std::fabs(x));
    }
    const float scale = most / 127, inverse = most > 0 ? 127 / most : 0;
    std::array<uint8_t, kGroup> codes;
    for (size_t i = 0; i < kGroup; ++i) {
      const float code = std::clamp(std::nearbyint(group[i] * inverse), -127.0f, 127.0f);
      codes[i] = static_cast<uint8_t>(static_cast<int>(code) + kZeroPoint);
    }
    write_grouped_block(kKind, scale, 0, codes, dst);
  }
}

template <int kGroup>
const Format& format() {
  static const Format kFormat = [] {
    Format made =
        grouped_format({.bits = 8, .f32_scales = true, .zero_point = kZeroPoint, .group = kGroup});
    made.encode = encode<kGroup>;
    return made;
  }();
  return kFormat;
}

}  // namespace

const Format* int8_groups(uint64_t columns) {
  switch (fitting_group(columns, 0)) {
    case 256:
      return &format<256>();
    case 128:
      return &format<128>();
    case 64:
      return &format<64>();
    case 32:
      return &format<32>();
    default:
      return nullptr;  // 16 have no kernel of bytes
  }
}

}  // namespace tessera
