// The threads of a benchmark.
#pragma once

#include <cstdlib>

#include "base/thread_pool.h"

namespace tessera::cpu {

// TESSERA_BENCH_THREADS sets how many; default: all cores.
inline ThreadPool& bench_pool() {
  static ThreadPool pool([] {
    const char* threads = std::getenv("TESSERA_BENCH_THREADS");
    return threads == nullptr ? 0 : std::atoi(threads);
  }());
  return pool;
}

}  // namespace tessera::cpu
