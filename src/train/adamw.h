// AdamW (Loshchilov & Hutter 2019): Adam (Kingma & Ba 2015) with decay apart from the gradient.
//
//   w -= rate decay w;  m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2
//   w -= rate / (1 - b1^t) m / (sqrt(v / (1 - b2^t)) + epsilon)
#pragma once

#include <vector>

#include "base/thread_pool.h"
#include "train/learned.h"

namespace tessera::train {

struct AdamWOptions {
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, decay = 0;
};

class AdamW {
 public:
  // What it remembers of a parameter, each as long as its values.
  struct Moments {
    std::vector<float> first, second;
  };

  // The parameters stay where they are for as long as this lives.
  AdamW(std::vector<Parameter*> parameters, AdamWOptions options);

  // Changes the values by their gradients, which become zero. Zeros that are to stay do so.
  void step(ThreadPool& pool, double rate);

  // To be kept, and set when a training goes on.
  int steps() const { return steps_; }
  std::vector<Moments>& moments() { return moments_; }  // in the order of the parameters
  void set_steps(int steps) { steps_ = steps; }

 private:
  std::vector<Parameter*> parameters_;
  AdamWOptions options_;
  std::vector<Moments> moments_;
  int steps_ = 0;
};

// The length of all gradients together; where it is above `most` > 0, all are shortened to that
// (Pascanu et al. 2013). Sums in an order that nothing changes.
double clip(ThreadPool& pool, std::span<Parameter* const> parameters, double most);

}  // namespace tessera::train
