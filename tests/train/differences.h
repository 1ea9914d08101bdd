// Derivatives by finite differences in double: what every gradient of training is held against.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <span>
#include <vector>

namespace tessera::train {

using Doubles = std::vector<double>;

inline Doubles doubles(std::span<const float> values) {
  return {values.begin(), values.end()};
}

// d f / d x[i], central and of fourth order.
inline Doubles differences(const std::function<double(const Doubles&)>& f, Doubles x) {
  constexpr double kStep = 1e-3;
  Doubles slopes;
  for (double& value : x) {
    const double was = value;
    const auto at = [&](double steps) {
      value = was + steps * kStep;
      return f(x);
    };
    slopes.push_back((8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * kStep));
    value = was;
  }
  return slopes;
}

// |found - expected| / |expected|
inline double relative_error(std::span<const float> found, const Doubles& expected) {
  double error = 0, size = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    error += std::pow(static_cast<double>(found[i]) - expected[i], 2);
    size += expected[i] * expected[i];
  }
  return std::sqrt(error / size);
}

// As floats can tell.
inline void expect_gradient(std::span<const float> found, const Doubles& expected) {
  ASSERT_EQ(found.size(), expected.size());
  EXPECT_LE(relative_error(found, expected), 1e-6);
}

}  // namespace tessera::train
