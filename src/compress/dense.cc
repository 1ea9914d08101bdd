#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "compress/dense.cc"
#include "base/simd/simd_targets.h"
//
#include <hwy/foreach_target.h>

#include "base/simd/simd.h"
//
#include "compress/dense.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/matrix_product.h"

HWY_BEFORE_NAMESPACE();
namespace tessera::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using DF = hn::ScalableTag<float>;
constexpr size_t kLanes = hn::MaxLanes(DF());

void add_scaled_kernel(float a, const float* x, size_t size, float* y) {
  const DF df;
  const auto by = hn::Set(df, a);
  size_t i = 0;
  for (; i + kLanes <= size; i += kLanes)
    hn::StoreU(hn::MulAdd(by, hn::LoadU(df, x + i), hn::LoadU(df, y + i)), df, y + i);
  for (; i < size; ++i) y[i] = std::fma(a, x[i], y[i]);
}

float dot_kernel(const float* x, const float* y, size_t size) {
  const DF df;
  auto sums = hn::Zero(df);
  size_t i = 0;
  for (; i + kLanes <= size; i += kLanes)
    sums = hn::MulAdd(hn::LoadU(df, x + i), hn::LoadU(df, y + i), sums);
  float sum = hn::GetLane(hn::SumOfLanes(df, sums));
  for (; i < size; ++i) sum = std::fma(x[i], y[i], sum);
  return sum;
}

float quadratic_kernel(const float* s, size_t stride, const float* x, size_t size) {
  const DF df;
  auto sums = hn::Zero(df);
  size_t j = 0;
  for (; j + kLanes <= size; j += kLanes) {
    auto product = hn::Zero(df);
    for (size_t k = 0; k < size; ++k)
      product = hn::MulAdd(hn::Set(df, x[k]), hn::LoadU(df, s + k * stride + j), product);
    sums = hn::MulAdd(product, hn::LoadU(df, x + j), sums);
  }
  float sum = hn::GetLane(hn::SumOfLanes(df, sums));
  for (; j < size; ++j) {
    float product = 0;
    for (size_t k = 0; k < size; ++k) product = std::fma(x[k], s[k * stride + j], product);
    sum = std::fma(product, x[j], sum);
  }
  return sum;
}

void multiply_symmetric_kernel(const float* s, const float* x, size_t size, float* y) {
  const DF df;
  constexpr size_t kVectors = 8;  // of y, in registers
  size_t j = 0;
  for (; j + kVectors * kLanes <= size; j += kVectors * kLanes) {
    hn::Vec<DF> sums[kVectors];
    for (auto& sum : sums) sum = hn::Zero(df);
    for (size_t k = 0; k < size; ++k) {
      const auto by = hn::Set(df, x[k]);
      const float* row = s + k * size + j;
      for (size_t v = 0; v < kVectors; ++v)
        sums[v] = hn::MulAdd(by, hn::LoadU(df, row + v * kLanes), sums[v]);
    }
    for (size_t v = 0; v < kVectors; ++v) hn::StoreU(sums[v], df, y + j + v * kLanes);
  }
  std::fill(y + j, y + size, 0.0f);
  for (size_t k = 0; j < size && k < size; ++k)
    add_scaled_kernel(x[k], s + k * size + j, size - j, y + j);
}

}  // namespace tessera::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tessera {
namespace {

HWY_EXPORT(add_scaled_kernel);
HWY_EXPORT(dot_kernel);
HWY_EXPORT(quadratic_kernel);
HWY_EXPORT(multiply_symmetric_kernel);

// Rows of U that are factorized at once.
constexpr size_t kPanel = 64;

// G[c, 0 .. end) of the rows c = first .. end - 1 of the factor G (H = G^T G, G lower triangular)
// where rows from `end` on are done and taken off. False if a pivot is not positive.
bool factorize_panel(ThreadPool& pool, Block h, size_t first, size_t end) {
  std::vector<float> inverse(end - first);
  for (size_t c = end; c-- > first;) {
    float* row = h.data + c * h.stride;
    const float pivot = row[c];
    if (!(pivot > 0) || !std::isfinite(pivot)) return false;
    row[c] = std::sqrt(pivot);
    inverse[c - first] = 1 / row[c];
    for (size_t j = first; j < c; ++j) row[j] *= inverse[c - first];
    for (size_t i = first; i < c; ++i) {
      float* other = h.data + i * h.stride;
      for (size_t j = first; j <= i; ++j) other[j] -= row[i] * row[j];
    }
  }
  constexpr size_t kColumns = 512;
  pool.parallel_for(static_cast<int>((first + kColumns - 1) / kColumns), [&](int part, int) {
    const size_t from = static_cast<size_t>(part) * kColumns, to = std::min(first, from + kColumns);
    for (size_t c = end; c-- > first;) {
      float* row = h.data + c * h.stride;
      for (size_t later = c + 1; later < end; ++later) {
        const float* other = h.data + later * h.stride;
        const float factor = other[c];
        for (size_t j = from; j < to; ++j) row[j] -= factor * other[j];
      }
      for (size_t j = from; j < to; ++j) row[j] *= inverse[c - first];
    }
  });
  return true;
}

}  // namespace

void add_scaled(float a, const float* x, std::span<float> y) {
  HWY_DYNAMIC_DISPATCH(add_scaled_kernel)(a, x, y.size(), y.data());
}

float dot(std::span<const float> x, std::span<const float> y) {
  return HWY_DYNAMIC_DISPATCH(dot_kernel)(x.data(), y.data(), x.size());
}

float quadratic(ConstBlock s, std::span<const float> x) {
  return HWY_DYNAMIC_DISPATCH(quadratic_kernel)(s.data, s.stride, x.data(), x.size());
}

void solve_unit_upper(ConstBlock u, std::span<float> b) {
  for (size_t k = 0; k < b.size(); ++k)
    add_scaled(-b[k], u.data + k * u.stride + k + 1, b.subspan(k + 1));
}

void multiply_symmetric(const float* s, std::span<const float> x, std::span<float> y) {
  HWY_DYNAMIC_DISPATCH(multiply_symmetric_kernel)(s, x.data(), y.size(), y.data());
}

// By panels from the last row up: G's rows, then their part of H is taken off what is left.
bool factorize(ThreadPool& pool, std::vector<float>& matrix, float damping, UduFactors& factors) {
  const auto n = static_cast<size_t>(std::sqrt(static_cast<double>(matrix.size())) + 0.5);
  factors.diagonal.resize(n);
  for (size_t k = 0; k < n; ++k) factors.diagonal[k] = matrix[k * n + k] += damping;
  const Block h{matrix.data(), n};
  for (size_t end = n; end > 0;) {
    const size_t first = (end - 1) / kPanel * kPanel;
    if (!factorize_panel(pool, h, first, end)) return false;
    const float* panel = matrix.data() + first * n;
    multiply(&pool, transposed(panel, n), by_rows(panel, n), first, end - first, first, -1,
             matrix.data(), n, Into::kAddLower);
    end = first;
  }
  factors.d.resize(n);
  for (size_t k = 0; k < n; ++k) factors.d[k] = matrix[k * n + k] * matrix[k * n + k];
  // U[j, c] = G[c, j] / G[c, c].
  constexpr size_t kRows = 64;
  pool.parallel_for(static_cast<int>((n + kRows - 1) / kRows), [&](int part, int) {
    const size_t begin = static_cast<size_t>(part) * kRows;
    for (size_t c = begin; c < std::min(n, begin + kRows); ++c) {
      const float inverse = 1 / matrix[c * n + c];
      for (size_t j = 0; j < c; ++j) {
        const float below = matrix[c * n + j];
        matrix[c * n + j] = matrix[j * n + c];
        matrix[j * n + c] = below * inverse;
      }
    }
  });
  for (size_t k = 0; k < n; ++k) matrix[k * n + k] = 1;
  factors.u = std::move(matrix);
  return true;
}

}  // namespace tessera
#endif
