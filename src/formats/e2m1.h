// Floats of 4 bits: sign, 2 exponent bits, 1 mantissa bit (OCP Microscaling Formats, MX, 1.0). The
// codes are 0, 0.5, 1, 1.5, 2, 3, 4, 6 and a sign; we count them in halves.
#pragma once

#include <array>
#include <cstdint>

#include "formats/levels.h"

namespace tessera {

inline constexpr std::array<int8_t, 16> kE2M1Halves{0, 1,  2,  3,  4,  6,  8,  12,
                                                    0, -1, -2, -3, -4, -6, -8, -12};
inline constexpr Codebook<15> kE2M1Levels({-12, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12});

// From the index of a level to its code: sign bit and magnitude.
inline uint8_t e2m1_code(uint8_t index) {
  return static_cast<uint8_t>(index >= 7 ? index - 7 : 8 + (7 - index));
}

}  // namespace tessera
