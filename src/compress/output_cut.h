// A matrix that loses some of its inputs: what each input adds, and what the rest is to become.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "checkpoint/stored_tensor.h"
#include "compress/input_moments.h"

namespace tessera {

class OutputCut {
 public:
  // Decodes the matrix. Error for a value that is not finite.
  OutputCut(const StoredTensor& matrix, ThreadPool& pool);

  // What each column adds to the products: sum of x^2 of its input times its squared norm.
  std::vector<double> scores(const InputMoments& inputs) const;
  // The matrix without the other columns; `kept` ascends. With a Hessian of the inputs, which is
  // used up, it is the one whose products are nearest to those of the whole: of W = [P S], columns
  // that go and that stay, S + P H_ps H_ss^-1. With H = U D U^T, those that go in front, this is
  // S + P U_ps U_ss^-1.
  std::vector<float> keep(std::span<const size_t> kept, InputMoments* inputs) const;

 private:
  size_t rows_, columns_;
  std::vector<float> weights_;  // [rows, columns]
  ThreadPool& pool_;
};

}  // namespace tessera
