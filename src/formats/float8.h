// Floats of 8 bits, as they are decoded (Micikevicius et al. 2022, "FP8 formats for deep learning";
// OCP 8-bit floating point specification).
#pragma once

#include <cstdint>

namespace tessera {

// Sign, 4 exponent bits, 3 mantissa bits; without infinities, 0x7f and 0xff are NaN. [256]
const float* e4m3_values();
// Sign, 5 exponent bits, 2 mantissa bits: the upper half of an f16. [256]
const float* e5m2_values();

}  // namespace tessera
