// The product that calibration and training spend their time in, in f32: C = A B, of matrices that
// lie either way round in memory. oneDNN could stand behind the same function.
//
// An element of C is one sum along the depth, in an order that the depth alone decides: neither the
// number of threads nor the other rows and columns change a bit of it.
#pragma once

#include <cstddef>

#include "base/thread_pool.h"

namespace tessera {

// Element (i, j) is data[i * row + j * column], where one of the two strides is 1.
struct Operand {
  const float* data;
  size_t row, column;
};
// Rows that lie `stride` floats apart,
inline Operand by_rows(const float* data, size_t stride) {
  return {data, stride, 1};
}
// and a matrix whose transpose lies like that.
inline Operand transposed(const float* data, size_t stride) {
  return {data, 1, stride};
}

// What becomes of C: the product, C + the product, or that on the diagonal and below it alone.
enum class Into { kReplace, kAdd, kAddLower };

// C = factor A B, or C += that: A [rows, depth], B [depth, columns], C [rows, columns] with rows
// c_stride floats apart. With a pool its threads share the work.
void multiply(ThreadPool* pool, Operand a, Operand b, size_t rows, size_t depth, size_t columns,
              float factor, float* c, size_t c_stride, Into into);

}  // namespace tessera
