// What a thread does while it spins.
#pragma once

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace tessera {

// Tells the core that this thread waits for another one.
inline void relax() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace tessera
