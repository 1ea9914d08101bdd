// Work on rows, shared by threads in stretches that do not depend on how many there are.
#pragma once

#include <algorithm>
#include <cstddef>

#include "base/thread_pool.h"

namespace tessera::train {

// A count, to compute sizes with.
inline size_t wide(int count) {
  return static_cast<size_t>(count);
}

inline constexpr int kStretch = 32;  // rows

inline int stretches(int rows) {
  return (rows + kStretch - 1) / kStretch;
}

// Calls body(first, end, number) for each stretch [first, end) of the rows.
template <class Body>
void for_stretches(ThreadPool& pool, int rows, Body body) {
  pool.parallel_for(stretches(rows), [&](int number, int) {
    body(number * kStretch, std::min(rows, (number + 1) * kStretch), number);
  });
}

}  // namespace tessera::train
