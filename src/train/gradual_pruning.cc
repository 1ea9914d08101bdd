#include "train/gradual_pruning.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "compress/magnitudes.h"
#include "model/taps.h"
#include "train/row_ranges.h"

namespace tessera::train {

std::vector<Parameter*> pruned_parameters(Learned& learned) {
  std::vector<Parameter*> pruned;
  for (auto& [place, parameter] : learned.whole) {
    if (input_of(place.role)) pruned.push_back(&parameter);
  }
  return pruned;
}

double share_of_zeros(const std::vector<Parameter*>& parameters) {
  size_t zeros = 0, all = 0;
  for (const Parameter* parameter : parameters) {
    zeros += static_cast<size_t>(std::ranges::count(parameter->values, 0.0f));
    all += parameter->values.size();
  }
  return all == 0 ? 0 : static_cast<double>(zeros) / static_cast<double>(all);
}

double PruningSchedule::share_at(int step) const {
  if (step < from) return 0;
  if (step >= to) return share;
  const double left = 1 - static_cast<double>(step - from) / (to - from);
  return share * (1 - left * left * left);
}

bool PruningSchedule::prunes_at(int step) const {
  constexpr int kTimes = 100;
  const int every = std::max(1, (to - from + kTimes - 1) / kTimes);
  return step == to || (step >= from && step < to && (step - from) % every == 0);
}

GradualPruning::GradualPruning(std::vector<Parameter*> parameters, const Sparsity& sparsity,
                               int from, int to, ThreadPool& pool)
    : parameters_(std::move(parameters)),
      sparsity_(sparsity),
      schedule_{.share = sparsity.share, .from = from, .to = to},
      pool_(pool) {
  for (Parameter* parameter : parameters_) parameter->keeps_zeros = true;
}

// Below which all matrices together have that share of their weights.
float GradualPruning::common_threshold(double share) {
  std::vector<StoredTensor> all;
  for (const Parameter* parameter : parameters_) all.push_back(stored_tensor(*parameter, {}));
  return magnitude_of_share(all, share, pool_);
}

void GradualPruning::before_step(int step) {
  if (!schedule_.prunes_at(step)) return;
  Sparsity by = sparsity_;
  by.share = schedule_.share_at(step);
  if (by.scope == SparsityScope::kGlobal) by.threshold = common_threshold(by.share);
  for (Parameter* parameter : parameters_) {
    if (by.scope == SparsityScope::kLayer) {
      const StoredTensor tensor = stored_tensor(*parameter, {});
      by.threshold = magnitude_of_share({&tensor, 1}, by.share, pool_);
    }
    prune(*parameter, by);
  }
}

void GradualPruning::prune(Parameter& parameter, const Sparsity& by) {
  const size_t columns = wide(parameter.columns);
  for_stretches(pool_, parameter.rows, [&](int first, int end, int) {
    std::vector<float> scores(columns);
    std::vector<bool> zero;
    for (int r = first; r < end; ++r) {
      float* row = parameter.values.data() + wide(r) * columns;
      for (size_t c = 0; c < columns; ++c) scores[c] = std::fabs(row[c]);
      by.choose(scores, zero);
      for (size_t c = 0; c < columns; ++c)
        if (zero[c]) row[c] = 0;
    }
  });
  parameter.has_changed = true;
}

}  // namespace tessera::train
