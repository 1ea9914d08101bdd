#include "train/distillation.h"

#include <algorithm>

#include "base/error.h"
#include "train/operations/cosine.h"
#include "train/operations/cross_entropy.h"

namespace tessera::train {
namespace {

HostRows first_columns(HostRows x, int count) {
  return {x.data, x.rows, count, x.stride};
}

}  // namespace

DistillationLoss::DistillationLoss(ThreadPool& pool, Teacher& teacher, const Config& student,
                                   const DistillationOptions& options)
    : pool_(pool),
      teacher_(teacher),
      options_(options),
      shape_{.temperature = static_cast<float>(options.temperature), .kept = options.kept} {
  if (options.cosine > 0 && teacher.embedding() != student.embedding) {
    fail(
        "the teacher's hidden states have {} values, the student's {}: their direction cannot be "
        "compared",
        teacher.embedding(), student.embedding);
  }
}

double DistillationLoss::of(const LossRows& rows) {
  double loss = 0;
  if (options_.alpha < 1)
    loss += (1 - options_.alpha) * cross_entropy(pool_, rows.logits, rows.targets);
  if (options_.alpha > 0) {
    const HostRows teacher = teacher_.logits(rows.first, rows.logits.rows);
    const int shared = std::min(teacher.columns, rows.logits.columns);
    loss += options_.alpha * divergence(pool_, shape_, first_columns(teacher, shared),
                                        first_columns(rows.logits, shared));
  }
  if (options_.cosine > 0) {
    loss += options_.cosine *
            cosine_distance(pool_, teacher_.hidden(rows.first, rows.logits.rows), rows.hidden);
  }
  return loss;
}

double DistillationLoss::differentiate(const LossRows& rows, float factor, HostTensor dhidden,
                                       HostTensor dlogits) {
  const auto weigh = [&](double share) { return factor * static_cast<float>(share); };
  double loss = 0;
  if (options_.alpha < 1) {
    const double share = 1 - options_.alpha;
    loss += share * cross_entropy_back(pool_, rows.logits, rows.targets, weigh(share), dlogits);
  }
  if (options_.alpha > 0) {
    const HostRows teacher = teacher_.logits(rows.first, rows.logits.rows);
    const int shared = std::min(teacher.columns, rows.logits.columns);
    loss += options_.alpha * divergence_back(pool_, shape_, first_columns(teacher, shared),
                                             first_columns(rows.logits, shared),
                                             weigh(options_.alpha), dlogits.slice(0, shared));
  }
  if (options_.cosine > 0) {
    loss +=
        options_.cosine * cosine_distance_back(pool_, teacher_.hidden(rows.first, rows.logits.rows),
                                               rows.hidden, weigh(options_.cosine), dhidden);
  }
  return loss;
}

}  // namespace tessera::train
