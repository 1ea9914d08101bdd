#include "train/operations/soft_cross_entropy.h"

#include <cmath>
#include <numeric>
#include <vector>

#include "train/curves.h"

namespace tessera::train {
namespace {

// Calls body(row, shares, wanted shares) with both distributions of a row.
template <class Body>
double sum_of_soft_rows(ThreadPool& pool, HostRows logits, HostRows wanted, Body body) {
  std::vector<double> losses(static_cast<size_t>(logits.rows));
  pool.parallel_for(logits.rows, [&](int r, int) {
    const std::span<const float> row = logits.row(r), other = wanted.row(r);
    thread_local std::vector<float> shares, wanted_shares;
    const auto softmax = [](std::span<const float> x, std::vector<float>& to) {
      to.resize(x.size());
      const float most = largest(x), sum = exponentials(x, most, to.data());
      for (float& share : to) share /= sum;
      return std::log(static_cast<double>(sum)) + static_cast<double>(most);
    };
    softmax(other, wanted_shares);
    double loss = softmax(row, shares);
    for (size_t i = 0; i < row.size(); ++i)
      loss -= static_cast<double>(wanted_shares[i]) * static_cast<double>(row[i]);
    losses[static_cast<size_t>(r)] = loss;
    body(r, std::span<const float>(shares), std::span<const float>(wanted_shares));
  });
  return std::accumulate(losses.begin(), losses.end(), 0.0);
}

}  // namespace

double soft_cross_entropy(ThreadPool& pool, HostRows logits, HostRows wanted) {
  return sum_of_soft_rows(pool, logits, wanted,
                          [](int, std::span<const float>, std::span<const float>) {});
}

double soft_cross_entropy_back(ThreadPool& pool, HostRows logits, HostRows wanted, float factor,
                               HostTensor dlogits) {
  return sum_of_soft_rows(
      pool, logits, wanted,
      [&](int r, std::span<const float> shares, std::span<const float> wanted_shares) {
        float* to = dlogits.row(r);
        for (size_t i = 0; i < shares.size(); ++i) to[i] = factor * (shares[i] - wanted_shares[i]);
      });
}

}  // namespace tessera::train
