// What a text's activations say of a matrix that multiplies them.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "base/host_tensor.h"
#include "base/thread_pool.h"
#include "compress/dense.h"
#include "model/taps.h"

namespace tessera {

// Sums over the rows x that a matrix multiplies: of x x^T, the Hessian (halved) of the squared
// error of its products by each of its rows, or of its diagonal alone.
class InputMoments {
 public:
  enum class Kind { kDiagonal, kHessian };

  InputMoments(int columns, Kind kind);

  void add(HostRows x, ThreadPool& pool);

  int columns() const { return static_cast<int>(squares_.size()); }
  uint64_t rows() const { return rows_; }
  Kind kind() const { return kind_; }
  // Sum of x[c]^2: what an error of the weights of column c costs.
  std::span<const double> squares() const { return squares_; }
  // The same as a mean, in floats; 1 of no rows. Error if it is not finite.
  std::vector<float> importance() const;
  // Mean and largest of |x[c]|.
  std::vector<float> mean_magnitudes() const;
  std::span<const float> largest_magnitudes() const { return largest_; }
  // The Hessian, [columns, columns], all of it.
  std::span<const float> full_hessian();
  // What they are of inputs that are divided by so much, column by column.
  void divide(std::span<const float> scales);

  // Sum over the rows e, [count, columns], of e^T H e: the squares of all their products with the
  // inputs. Of the diagonal alone, if that is what there is. Before factorize().
  double energy(std::span<const float> rows, ThreadPool& pool) const;

  // Column c becomes what column order[c] was; a permutation of them all.
  void reorder(std::span<const size_t> order);

  // Factorizes H + damping, a share of the mean of H's diagonal, which grows until floats can tell
  // that the sum is positive definite. 0: as much as makes good for the rows being few, so that
  // what a method makes good on them it does on others, too. The Hessian is used up. Error if it is
  // not finite, or nothing at all.
  UduFactors factorize(float damping, ThreadPool& pool);

 private:
  Kind kind_;
  uint64_t rows_ = 0;
  std::vector<double> squares_, magnitudes_;
  std::vector<float> largest_;
  std::vector<float> hessian_;  // [columns, columns], on the diagonal and below
};

// Of all inputs of a layer's matrices.
using InputsOfLayer = std::map<TapPlace, InputMoments>;

}  // namespace tessera
