// Activations to calibrate on, and the plain mathematics of GPTQ and SparseGPT in double.
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

#include "support/random_floats.h"

namespace tessera {

using Doubles = std::vector<double>;

inline constexpr size_t kColumns = 512, kRows = 70, kSamples = 900;

// Activations that have much in common, and a few large columns, as those of language models.
inline Floats activations() {
  const size_t shared = 40;
  const Floats mix = random_floats(shared * kColumns, 3),
               own = random_floats(kSamples * kColumns, 4),
               common = random_floats(kSamples * shared, 5);
  Floats x(kSamples * kColumns);
  for (size_t s = 0; s < kSamples; ++s) {
    for (size_t c = 0; c < kColumns; ++c) {
      double sum = 0.5 * static_cast<double>(own[s * kColumns + c]);
      for (size_t k = 0; k < shared; ++k) {
        sum += static_cast<double>(common[s * shared + k]) *
               static_cast<double>(mix[k * kColumns + c]) / 6;
      }
      x[s * kColumns + c] = static_cast<float>(sum * (c % 50 == 7 ? 8 : 1));
    }
  }
  return x;
}

// Sum of x x^T.
inline Doubles hessian_of(const Floats& x) {
  const size_t n = kColumns;
  Doubles h(n * n);
  for (size_t s = 0; s < kSamples; ++s) {
    for (size_t i = 0; i < n; ++i) {
      const auto xi = static_cast<double>(x[s * n + i]);
      for (size_t j = 0; j < n; ++j) h[i * n + j] += xi * static_cast<double>(x[s * n + j]);
    }
  }
  return h;
}

// The upper Cholesky factor of (H + 1 %)^-1: inverse = upper^T upper.
inline Doubles upper_factor_of_inverse(Doubles h, size_t n) {
  double trace = 0;
  for (size_t k = 0; k < n; ++k) trace += h[k * n + k];
  Doubles inverse(n * n);
  for (size_t k = 0; k < n; ++k) {
    h[k * n + k] += 0.01 * trace / static_cast<double>(n);
    inverse[k * n + k] = 1;
  }
  for (size_t k = 0; k < n; ++k) {  // Gauss and Jordan
    const double pivot = 1 / h[k * n + k];
    for (size_t j = 0; j < n; ++j) h[k * n + j] *= pivot, inverse[k * n + j] *= pivot;
    for (size_t i = 0; i < n; ++i) {
      const double factor = h[i * n + k];
      if (i == k || factor == 0) continue;
      for (size_t j = 0; j < n; ++j) {
        h[i * n + j] -= factor * h[k * n + j];
        inverse[i * n + j] -= factor * inverse[k * n + j];
      }
    }
  }
  Doubles upper(n * n);
  for (size_t k = 0; k < n; ++k) {
    for (size_t j = k; j < n; ++j) {
      double sum = inverse[k * n + j];
      for (size_t i = 0; i < k; ++i) sum -= upper[i * n + k] * upper[i * n + j];
      upper[k * n + j] = j == k ? std::sqrt(sum) : sum / upper[k * n + k];
    }
  }
  return upper;
}

// Made once.
struct Example {
  const Floats x = activations(), weights = random_floats(kRows * kColumns, 6, 0.02f);
  const Doubles hessian = hessian_of(x), upper = upper_factor_of_inverse(hessian, kColumns);
};
inline const Example& example() {
  static const Example made;
  return made;
}

// (w - v) H (w - v)^T, summed over the rows: the squared error of the products.
inline double product_error(const Floats& w, const Floats& v, const Doubles& h) {
  const size_t n = kColumns;
  double sum = 0;
  for (size_t r = 0; r < w.size() / n; ++r) {
    Doubles e(n);
    for (size_t c = 0; c < n; ++c)
      e[c] = static_cast<double>(w[r * n + c]) - static_cast<double>(v[r * n + c]);
    for (size_t i = 0; i < n; ++i) {
      double dot = 0;
      for (size_t j = 0; j < n; ++j) dot += h[i * n + j] * e[j];
      sum += e[i] * dot;
    }
  }
  return sum;
}

}  // namespace tessera
