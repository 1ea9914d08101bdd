// Matrices to compute on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace tessera {

using Floats = std::vector<float>;

// Normal with the standard deviation `scale`; the same for equal arguments.
inline Floats random_floats(size_t count, uint32_t seed, float scale = 1.0f) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0f, scale);
  Floats x(count);
  for (float& value : x) value = normal(random);
  return x;
}

}  // namespace tessera
