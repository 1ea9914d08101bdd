// Arithmetic on sizes that come from untrusted files: it fails rather than wraps around.
#pragma once

#include <cstdint>

#include "base/error.h"

namespace tessera {

inline uint64_t checked_add(uint64_t a, uint64_t b, const char* what) {
  uint64_t sum;
  if (__builtin_add_overflow(a, b, &sum)) fail("{}: {} + {} overflows", what, a, b);
  return sum;
}

inline uint64_t checked_mul(uint64_t a, uint64_t b, const char* what) {
  uint64_t product;
  if (__builtin_mul_overflow(a, b, &product)) fail("{}: {} x {} overflows", what, a, b);
  return product;
}

}  // namespace tessera
