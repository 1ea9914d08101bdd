// How the fields of a block lie in its bytes, where several formats do it alike.
#pragma once

#include <cstdint>

namespace tessera {

// Little-endian, whatever this machine is.
inline uint16_t load_u16(const uint8_t* p) {
  return static_cast<uint16_t>(p[0] | (p[1] << 8));
}

inline void store_u16(uint8_t* p, uint16_t bits) {
  p[0] = static_cast<uint8_t>(bits & 0xff);
  p[1] = static_cast<uint8_t>(bits >> 8);
}

// 32 codes of 4 bits: byte i holds elements i (low half) and i + 16 (high half).
inline void split_nibbles(const uint8_t* bytes, uint8_t* codes) {
  for (int i = 0; i < 16; ++i) {
    codes[i] = bytes[i] & 15;
    codes[i + 16] = bytes[i] >> 4;
  }
}

inline void join_nibbles(const uint8_t* codes, uint8_t* bytes) {
  for (int i = 0; i < 16; ++i) bytes[i] = static_cast<uint8_t>(codes[i] | (codes[i + 16] << 4));
}

// 256 codes of 2 bits: each half of 128 has 32 bytes; byte i holds elements i, i + 32, i + 64,
// i + 96 of its half, from the lowest bits up.
inline void split_crumbs(const uint8_t* bytes, uint8_t* codes) {
  for (int half = 0; half < 2; ++half) {
    for (int j = 0; j < 4; ++j) {
      for (int i = 0; i < 32; ++i) {
        codes[128 * half + 32 * j + i] = (bytes[32 * half + i] >> (2 * j)) & 3;
      }
    }
  }
}

// The low 2 bits of the codes, into bytes that are zeros.
inline void join_crumbs(const uint8_t* codes, uint8_t* bytes) {
  for (int i = 0; i < 256; ++i) {
    bytes[i / 128 * 32 + i % 32] |= static_cast<uint8_t>((codes[i] & 3) << (i % 128 / 32 * 2));
  }
}

// One more bit for each of 256 codes, at bit `to`: bit i / 32 of byte i % 32 belongs to element i.
inline void add_bit_plane(const uint8_t* bytes, int to, uint8_t* codes) {
  for (int j = 0; j < 8; ++j) {
    for (int i = 0; i < 32; ++i) {
      codes[32 * j + i] |= static_cast<uint8_t>(((bytes[i] >> j) & 1) << to);
    }
  }
}

// Bit `from` of 256 codes, into bytes that are zeros.
inline void join_bit_plane(const uint8_t* codes, int from, uint8_t* bytes) {
  for (int i = 0; i < 256; ++i) {
    bytes[i % 32] |= static_cast<uint8_t>(((codes[i] >> from) & 1) << (i / 32));
  }
}

}  // namespace tessera
