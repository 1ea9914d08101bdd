// Dense linear algebra in f32, as much as methods need beside base/matrix_product.h: a
// factorization above all.
//
// Every element is summed in an order that its position alone decides, so that results do not
// depend on the number of threads.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/thread_pool.h"

namespace tessera {

// Rows of floats, `stride` apart.
struct ConstBlock {
  const float* data;
  size_t stride;
};
struct Block {
  float* data;
  size_t stride;
};

// y += a x
void add_scaled(float a, const float* x, std::span<float> y);
// Sum of x[i] y[i].
float dot(std::span<const float> x, std::span<const float> y);
// x^T S x, S symmetric.
float quadratic(ConstBlock s, std::span<const float> x);
// x U = b, U upper triangular with a diagonal of ones; b becomes x.
void solve_unit_upper(ConstBlock u, std::span<float> b);
// y = S x, S symmetric [y.size(), y.size()].
void multiply_symmetric(const float* s, std::span<const float> x, std::span<float> y);

// H = U D U^T of a symmetric n x n matrix, with U upper triangular, its diagonal 1, and D diagonal.
//
// The diagonal of D is what is left of H's once all later variables are chosen as best they can be:
// D[k] = 1 / (H restricted to k, k + 1, ...)^-1 [k, k], the conditional importance of variable k.
struct UduFactors {
  std::vector<float> u;         // [n, n]; below the diagonal lies what lay above it in the matrix
  std::vector<float> d;         // [n], all > 0
  std::vector<float> diagonal;  // [n]: of what was factorized, with its damping

  size_t size() const { return d.size(); }
};

// `matrix`, [n, n], has H on the diagonal and below it, plus `damping` on the diagonal; its memory
// becomes U: with H above the diagonal, too, H stays there below it. False if H is not positive
// definite as far as floats can tell: then what lies on the diagonal and below is lost, what lies
// above is as it was.
bool factorize(ThreadPool& pool, std::vector<float>& matrix, float damping, UduFactors& factors);

}  // namespace tessera
