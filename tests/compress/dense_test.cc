#include "compress/dense.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/matrix_product.h"
#include "support/random_floats.h"

namespace tessera {
namespace {

TEST(Dense, DotsAndQuadraticForms) {
  for (const size_t n : {1, 5, 16, 32, 77, 256}) {
    const size_t stride = n + 3;
    const Floats x = random_floats(n, 1), y = random_floats(n, 2);
    Floats s = random_floats(n * stride, 3);
    double products = 0, form = 0;
    for (size_t i = 0; i < n; ++i) {
      products += static_cast<double>(x[i]) * static_cast<double>(y[i]);
      for (size_t j = 0; j < n; ++j) {
        s[j * stride + i] = s[i * stride + j];
        form += static_cast<double>(x[i]) * static_cast<double>(x[j]) *
                static_cast<double>(s[std::min(i, j) * stride + std::max(i, j)]);
      }
    }
    EXPECT_NEAR(dot(x, y), products, 1e-5 * std::sqrt(n)) << n;
    EXPECT_NEAR(quadratic({s.data(), stride}, x), form, 1e-5 * static_cast<double>(n)) << n;
  }
}

Floats moments(size_t n, size_t depth, ThreadPool& pool) {
  const Floats x = random_floats(depth * n, 7);
  Floats h(n * n);
  multiply(&pool, transposed(x.data(), n), by_rows(x.data(), n), n, depth, n, 1, h.data(), n,
           Into::kAddLower);
  return h;
}

TEST(Dense, FactorsMultiplyToTheMatrix) {
  ThreadPool one(1), three(3);
  const size_t n = 230;
  Floats h = moments(n, 400, one);
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < i; ++j) h[j * n + i] = h[i * n + j];
  }
  Floats matrix = h, again = h;
  UduFactors factors, others;
  ASSERT_TRUE(factorize(one, matrix, 5, factors));
  ASSERT_TRUE(factorize(three, again, 5, others));
  EXPECT_EQ(factors.d, others.d);
  EXPECT_EQ(factors.u, others.u);
  for (size_t i = 0; i < n; ++i) {
    ASSERT_EQ(factors.diagonal[i], h[i * n + i] + 5);
    for (size_t j = 0; j < i; ++j) ASSERT_EQ(factors.u[i * n + j], h[i * n + j]);
    for (size_t j = 0; j <= i; ++j) {
      double sum = 0;  // U[i, k] is zero for k < i
      for (size_t k = i; k < n; ++k) {
        sum += static_cast<double>(factors.u[i * n + k]) * static_cast<double>(factors.d[k]) *
               static_cast<double>(factors.u[j * n + k]);
      }
      ASSERT_NEAR(sum, h[i * n + j] + (i == j ? 5 : 0), 2e-3);
    }
  }
}

TEST(Dense, ASingularMatrixIsTold) {
  ThreadPool pool(2);
  Floats zeros(100 * 100);
  UduFactors factors;
  EXPECT_FALSE(factorize(pool, zeros, 0, factors));
  Floats few = moments(100, 20, pool);  // of rank 20
  few[0] = -1;
  EXPECT_FALSE(factorize(pool, few, 0.5f, factors));
}

}  // namespace
}  // namespace tessera
