#include "train/operations/cross_entropy.h"

#include <cmath>
#include <numeric>
#include <vector>

#include "train/curves.h"

namespace tessera::train {
namespace {

// Calls body(row, weights) with e^(logit - most) of a row, its sum, and what the row loses.
template <class Body>
double sum_of_rows(ThreadPool& pool, HostRows logits, std::span<const Token> targets, Body body) {
  std::vector<double> losses(static_cast<size_t>(logits.rows));
  pool.parallel_for(logits.rows, [&](int r, int) {
    const std::span<const float> row = logits.row(r);
    thread_local std::vector<float> weights;
    weights.resize(row.size());
    const float most = largest(row), sum = exponentials(row, most, weights.data());
    const auto target = static_cast<size_t>(targets[static_cast<size_t>(r)]);
    losses[static_cast<size_t>(r)] = std::log(static_cast<double>(sum)) +
                                     static_cast<double>(most) - static_cast<double>(row[target]);
    body(r, std::span<const float>(weights), sum, target);
  });
  return std::accumulate(losses.begin(), losses.end(), 0.0);
}

}  // namespace

double cross_entropy(ThreadPool& pool, HostRows logits, std::span<const Token> targets) {
  return sum_of_rows(pool, logits, targets, [](int, std::span<const float>, float, size_t) {});
}

double cross_entropy_back(ThreadPool& pool, HostRows logits, std::span<const Token> targets,
                          float factor, HostTensor dlogits) {
  return sum_of_rows(pool, logits, targets,
                     [&](int r, std::span<const float> weights, float sum, size_t target) {
                       float* to = dlogits.row(r);
                       const float by = factor / sum;
                       for (size_t i = 0; i < weights.size(); ++i) to[i] = by * weights[i];
                       to[target] -= factor;
                     });
}

}  // namespace tessera::train
