#include "compress/input_moments.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/assert.h"
#include "base/error.h"
#include "base/log.h"

namespace tessera {
namespace {

constexpr float kDamping = 0.01f;      // of the mean of the diagonal (Frantar et al. 2022, GPTQ)
constexpr float kMostDamping = 10.0f;  // beyond it, rounding to nearest is what is left

}  // namespace

InputMoments::InputMoments(int columns, Kind kind) : kind_(kind), squares_(columns) {
  if (kind == Kind::kHessian) hessian_.resize(static_cast<size_t>(columns) * columns);
}

void InputMoments::add(HostRows x, ThreadPool& pool) {
  TESSERA_ASSERT(x.columns == columns());
  rows_ += static_cast<uint64_t>(x.rows);
  for (int r = 0; r < x.rows; ++r) {
    const auto row = x.row(r);
    for (size_t c = 0; c < row.size(); ++c) {
      squares_[c] += static_cast<double>(row[c]) * static_cast<double>(row[c]);
    }
  }
  if (kind_ == Kind::kDiagonal) return;
  const ConstBlock block{x.data, static_cast<size_t>(x.stride)};
  const size_t n = squares_.size();
  add_product(&pool, block, block, static_cast<size_t>(x.rows), n, n, 1, {hessian_.data(), n},
              true);
}

std::vector<float> InputMoments::importance() const {
  const double count = std::max<double>(1, static_cast<double>(rows_));
  std::vector<float> means;
  for (const double sum : squares_) means.push_back(static_cast<float>(sum / count));
  return means;
}

UduFactors InputMoments::factorize(ThreadPool& pool) {
  TESSERA_ASSERT(!hessian_.empty());
  const size_t n = squares_.size();
  const double mean =
      std::accumulate(squares_.begin(), squares_.end(), 0.0) / static_cast<double>(n);
  if (!std::isfinite(mean)) fail("the activations are not finite");
  if (!(mean > 0)) fail("all activations are zero");
  // What lies above the diagonal keeps H, should the first damping not do.
  std::vector<float> diagonal(n);
  for (size_t r = 0; r < n; ++r) {
    diagonal[r] = hessian_[r * n + r];
    for (size_t c = 0; c < r; ++c) hessian_[c * n + r] = hessian_[r * n + c];
  }
  UduFactors factors;
  for (float damping = kDamping; damping <= kMostDamping; damping *= 2) {
    if (tessera::factorize(pool, hessian_, damping * static_cast<float>(mean), factors)) {
      if (damping > kDamping)
        spdlog::warn("a nearly singular Hessian: damped by {:.0f} %", 100 * damping);
      return factors;
    }
    for (size_t r = 0; r < n; ++r) {
      hessian_[r * n + r] = diagonal[r];
      for (size_t c = 0; c < r; ++c) hessian_[r * n + c] = hessian_[c * n + r];
    }
  }
  fail("the Hessian of {} activations is singular", n);
}

}  // namespace tessera
