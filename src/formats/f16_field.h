// The f16 fields inside a block: little-endian scales and minimums.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "base/half.h"

namespace tessera {

inline constexpr float kF16Max = 65504.0f;
inline constexpr float kF16Smallest = 0x1p-24f;  // the smallest positive (subnormal) f16

inline void store_f16(uint8_t* p, float value) {
  const uint16_t bits = f32_to_f16(value);
  p[0] = static_cast<uint8_t>(bits & 0xff);
  p[1] = static_cast<uint8_t>(bits >> 8);
}

// The nearest scale that an f16 field can hold. Saturates instead of becoming infinite, and a
// scale that is not zero stays so: with the smallest scale the codes can still choose zero.
inline float round_scale_f16(float scale) {
  if (scale == 0.0f) return 0.0f;
  const float magnitude = std::clamp(std::fabs(scale), kF16Smallest, kF16Max);
  return std::copysign(f16_to_f32(f32_to_f16(magnitude)), scale);
}

// The same for an offset, where zero is as good as the smallest number.
inline float round_offset_f16(float offset) {
  return f16_to_f32(f32_to_f16(std::clamp(offset, -kF16Max, kF16Max)));
}

}  // namespace tessera
