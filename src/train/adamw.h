// AdamW (Loshchilov & Hutter 2019): Adam (Kingma & Ba 2015) with decay apart from the gradient.
//
//   w -= rate decay w;  m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2
//   w -= rate / (1 - b1^t) m / (sqrt(v / (1 - b2^t)) + epsilon)
//
// The moments m and v may be kept in 8 bits each (Dettmers et al. 2022, arXiv 2110.02861).
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "train/dynamic_bytes.h"
#include "train/learned.h"

namespace tessera::train {

struct AdamWOptions {
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, decay = 0;
  bool eight_bits = false;  // of the moments, where a parameter has at least kFewValues
};

class AdamW {
 public:
  static constexpr size_t kFewValues = 4096;  // norms and biases: they take nothing, and matter

  // The parameters stay where they are for as long as this lives.
  AdamW(std::vector<Parameter*> parameters, AdamWOptions options);

  // Changes the values by their gradients, which become zero. Zeros that are to stay do so.
  void step(ThreadPool& pool, double rate);

  // To be kept, and set when a training goes on: the steps, and the memory of a parameter by its
  // number, m and v in f32 or codes with the magnitudes that they are parts of. Each of its size.
  int steps() const { return steps_; }
  void set_steps(int steps) { steps_ = steps; }
  std::vector<std::span<std::byte>> memory(size_t parameter);

 private:
  struct Moments {
    std::vector<float> first, second;
    std::optional<DynamicBytes> first_bytes, second_bytes;  // instead
  };

  std::vector<Parameter*> parameters_;
  AdamWOptions options_;
  std::vector<Moments> moments_;  // in the order of the parameters
  int steps_ = 0;
};

// The length of all gradients together; where it is above `most` > 0, all are shortened to that
// (Pascanu et al. 2013). Sums in an order that nothing changes.
double clip(ThreadPool& pool, std::span<Parameter* const> parameters, double most);

}  // namespace tessera::train
