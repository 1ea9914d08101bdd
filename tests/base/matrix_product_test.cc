#include "base/matrix_product.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "support/random_floats.h"

namespace tessera {
namespace {

Floats turned(const Floats& rows, size_t count, size_t columns) {
  Floats result(rows.size());
  for (size_t i = 0; i < count; ++i) {
    for (size_t j = 0; j < columns; ++j) result[j * count + i] = rows[i * columns + j];
  }
  return result;
}

TEST(MatrixProduct, IsTheSumWhateverTheShapeAndHoweverItsMatricesLie) {
  ThreadPool pool(3);
  for (const auto& [rows, depth, columns] :
       {std::array<size_t, 3>{1, 1, 1}, {5, 7, 33}, {200, 300, 401}, {300, 513, 64}}) {
    const Floats a = random_floats(rows * depth, 1), b = random_floats(depth * columns, 2);
    const Floats a_turned = turned(a, rows, depth), b_turned = turned(b, depth, columns);
    Floats expected(rows * columns, 1.0f);
    multiply(nullptr, by_rows(a.data(), depth), by_rows(b.data(), columns), rows, depth, columns,
             -2, expected.data(), columns, Into::kAdd);
    for (size_t i = 0; i < rows; ++i) {
      for (size_t j = 0; j < columns; ++j) {
        double sum = 0;
        for (size_t k = 0; k < depth; ++k) {
          sum += static_cast<double>(a[i * depth + k]) * static_cast<double>(b[k * columns + j]);
        }
        ASSERT_NEAR(expected[i * columns + j], 1 - 2 * sum, 1e-4 * std::sqrt(depth));
      }
    }
    for (const Operand x : {by_rows(a.data(), depth), transposed(a_turned.data(), rows)}) {
      for (const Operand y : {by_rows(b.data(), columns), transposed(b_turned.data(), depth)}) {
        Floats c(rows * columns, 1.0f);
        multiply(&pool, x, y, rows, depth, columns, -2, c.data(), columns, Into::kAdd);
        EXPECT_EQ(c, expected);
      }
    }
  }
}

TEST(MatrixProduct, ReplacesWhatWasThere) {
  const Floats a = random_floats(7 * 300, 1), b = random_floats(300 * 5, 2);
  Floats added(7 * 5), replaced(7 * 5, 3.0f), nothing(7 * 5, 3.0f);
  for (const auto& [c, into] : {std::pair(&added, Into::kAdd), {&replaced, Into::kReplace}}) {
    multiply(nullptr, by_rows(a.data(), 300), by_rows(b.data(), 5), 7, 300, 5, 1, c->data(), 5,
             into);
  }
  EXPECT_EQ(replaced, added);
  multiply(nullptr, by_rows(a.data(), 300), by_rows(b.data(), 5), 7, 0, 5, 1, nothing.data(), 5,
           Into::kReplace);
  EXPECT_EQ(nothing, Floats(7 * 5));
}

TEST(MatrixProduct, TheLowerTriangleLeavesTheUpperAlone) {
  ThreadPool pool(2);
  for (const size_t n : {1, 5, 97, 450}) {
    const size_t depth = 40;
    const Floats a = random_floats(depth * n, 1);
    Floats all(n * n, 3.0f), lower = all;
    for (const auto& [c, into] : {std::pair(&all, Into::kAdd), {&lower, Into::kAddLower}}) {
      multiply(&pool, transposed(a.data(), n), by_rows(a.data(), n), n, depth, n, 1, c->data(), n,
               into);
    }
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < n; ++j) {
        ASSERT_EQ(lower[i * n + j], j <= i ? all[i * n + j] : 3.0f) << i << " " << j;
      }
    }
  }
}

}  // namespace
}  // namespace tessera
