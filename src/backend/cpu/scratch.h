// Working memory that operations keep between calls.
#pragma once

#include <cstddef>

#include "base/aligned_buffer.h"

namespace tessera::cpu {

// A piece of memory handed out in arrays, each on a cache line.
class Arena {
 public:
  explicit Arena(std::byte* memory) : next_(memory) {}

  template <typename T>
  T* take(size_t count) {
    T* array = reinterpret_cast<T*>(next_);
    next_ += (count * sizeof(T) + 63) / 64 * 64;
    return array;
  }

 private:
  std::byte* next_;
};

// Grows to the largest need and stays.
class Scratch {
 public:
  // Room for `bytes` in at most `arrays` arrays.
  Arena reserve(size_t bytes, size_t arrays) {
    if (memory_.size() < bytes + 64 * arrays) memory_ = AlignedBuffer(bytes + 64 * arrays);
    return Arena(memory_.data());
  }

 private:
  AlignedBuffer memory_;
};

}  // namespace tessera::cpu
