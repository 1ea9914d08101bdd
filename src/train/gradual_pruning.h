// Pruning while a model learns: single weights become zero, the smallest first, ever more of them,
// and what is left makes good for them (Zhu & Gupta 2017, arXiv 1710.01878).
#pragma once

#include <vector>

#include "base/thread_pool.h"
#include "compress/sparsity.h"
#include "train/learned.h"

namespace tessera::train {

// What of a model is pruned: the matrices that multiply activations in its layers.
std::vector<Parameter*> pruned_parameters(Learned& learned);
// Of all their values.
double share_of_zeros(const std::vector<Parameter*>& parameters);

// The share of zeros rises from 0 before step `from` to `share` before step `to`, fast while there
// is much to choose from:
//
//   share (1 - (1 - (step - from) / (to - from))^3)
struct PruningSchedule {
  double share = 0;
  int from = 0, to = 0;

  double share_at(int step) const;
  // A hundred times at most, the first and the last step among them.
  bool prunes_at(int step) const;
};

class GradualPruning {
 public:
  // Its parameters, which stay where they are, keep their zeros from now on. `sparsity`: whose
  // share it is that becomes zero; of groups (N:M) whole numbers do, fewer at first.
  GradualPruning(std::vector<Parameter*> parameters, const Sparsity& sparsity, int from, int to,
                 ThreadPool& pool);

  // See TrainingOptions::before_step.
  void before_step(int step);

 private:
  float common_threshold(double share);
  void prune(Parameter& parameter, const Sparsity& by);

  std::vector<Parameter*> parameters_;
  Sparsity sparsity_;
  PruningSchedule schedule_;
  ThreadPool& pool_;
};

}  // namespace tessera::train
