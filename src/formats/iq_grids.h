// What IQ1, IQ2 and IQ3 codes stand for: points of a lattice, 4 or 8 elements each.
#pragma once

#include <cstdint>

#include "formats/bit_fields.h"
#include "formats/quantized_block.h"

namespace tessera {

// Of 8 elements, 2 bits each from the lowest up: which of 3 values.
extern const uint16_t kGridIQ1[2048];                                         // -1, 0, 1
extern const uint16_t kGridIQ2_XXS[256], kGridIQ2_XS[512], kGridIQ2_S[1024];  // 8, 25, 43
// Of 4 elements, 4 bits each: which of 8 magnitudes.
extern const uint16_t kGridIQ3_XXS[256], kGridIQ3_S[512];

// 8 signs of which 7 are stored: an even number of them is negative.
inline uint8_t even_signs(uint32_t stored) {
  uint32_t parity = stored & 127;
  parity ^= parity >> 4;
  parity ^= parity >> 2;
  parity ^= parity >> 1;
  return static_cast<uint8_t>((stored & 127) | ((parity & 1) << 7));
}

// The codes of 8 elements: index of a magnitude, and above it the sign, which is bit i of `signs`.
inline void split_grid8(uint16_t point, uint8_t signs, uint8_t* codes) {
  for (int i = 0; i < 8; ++i) {
    codes[i] = static_cast<uint8_t>(((point >> (2 * i)) & 3) | (((signs >> i) & 1) << 2));
  }
}
inline void split_grid4(uint16_t first, uint16_t second, uint8_t signs, uint8_t* codes) {
  for (int i = 0; i < 8; ++i) {
    const int index = ((i < 4 ? first : second) >> (4 * (i % 4))) & 7;
    codes[i] = static_cast<uint8_t>(index | (((signs >> i) & 1) << 3));
  }
}

inline uint32_t load_u32(const uint8_t* p) {
  return load_u16(p) | (static_cast<uint32_t>(load_u16(p + 2)) << 16);
}

}  // namespace tessera
