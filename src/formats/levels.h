// The sets of levels a value is rounded to: integers in a range, or a codebook.
//
// `nearest` works on a float and, for the scale search, on four at once (Float4).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace tessera {

// Four floats in one register on every CPU we build for; GCC and Clang both compile the
// arithmetic, comparisons and ?: on it as if on each lane.
using Float4 = float __attribute__((vector_size(16)));

// The integers lo .. hi.
struct IntegerLevels {
  float lo, hi;

  float lowest() const { return lo; }
  float highest() const { return hi; }

  template <typename T>
  T nearest(T v) const {
    v = v < T{} + lo ? T{} + lo : v;
    v = v > T{} + hi ? T{} + hi : v;
    // Adding 1.5 * 2^23 pushes the fraction out of the mantissa, which rounds half to even.
    return (v + 0x1.8p23f) - 0x1.8p23f;
  }

  // The code of the level nearest to v: 0 for `lo`.
  uint8_t code(float v) const { return static_cast<uint8_t>(nearest(v) - lo); }
};

// N levels in ascending order. The code is the index.
template <size_t N>
class Codebook {
 public:
  explicit constexpr Codebook(const std::array<int8_t, N>& levels) : lowest_(levels[0]) {
    for (size_t i = 0; i + 1 < N; ++i) {
      boundary_[i] = 0.5f * static_cast<float>(levels[i] + levels[i + 1]);
      step_[i] = static_cast<float>(levels[i + 1] - levels[i]);
    }
    highest_ = levels[N - 1];
  }

  float lowest() const { return lowest_; }
  float highest() const { return highest_; }

  template <typename T>
  T nearest(T v) const {
    T level = T{} + lowest_;
    for (size_t i = 0; i + 1 < N; ++i) level += v > T{} + boundary_[i] ? T{} + step_[i] : T{};
    return level;
  }

  uint8_t code(float v) const {
    uint8_t index = 0;
    while (index + 1 < static_cast<int>(N) && v > boundary_[index]) ++index;
    return index;
  }

 private:
  float lowest_, highest_ = 0;
  std::array<float, N - 1> boundary_{}, step_{};
};

}  // namespace tessera
