// SmoothQuant (Xiao et al. 2022, arXiv 2211.10438): what makes activations hard to round, a few
// channels of large ones, is moved into the weights.
//
// s = max |x|^alpha / max |w|^(1 - alpha) for each channel, x its activations, w its weights.
#include <algorithm>
#include <cmath>
#include <mutex>

#include "compress/scalings/scaling.h"

namespace tessera {
namespace {

constexpr double kAlpha = 0.5;
constexpr float kLeast = 1e-5f;  // as the authors' code has it

std::vector<float> choose(const ScaledChannels& channels, ThreadPool& pool) {
  constexpr uint64_t kRows = 64;  // that a thread looks at
  const Fold& fold = channels.fold;
  std::vector<float> w(static_cast<size_t>(fold.sources), 0.0f);
  std::mutex mutex;
  for (const auto& matrix : channels.matrices) {
    const StoredTensor& tensor = *matrix.tensor;
    const uint64_t columns = tensor.columns(), rows = tensor.rows();
    pool.parallel_for(static_cast<int>((rows + kRows - 1) / kRows), [&](int part, int) {
      const uint64_t first = static_cast<uint64_t>(part) * kRows;
      const uint64_t count = std::min(kRows, rows - first);
      std::vector<float> values(count * columns), most(columns, 0.0f);
      tensor.decode(first, count, values);
      for (size_t i = 0; i < values.size(); ++i)
        most[i % columns] = std::max(most[i % columns], std::fabs(values[i]));
      const std::lock_guard lock(mutex);  // the largest of all is so in any order
      for (size_t c = 0; c < columns; ++c) {
        float& at = w[static_cast<size_t>(fold.source[c])];
        at = std::max(at, most[c]);
      }
    });
  }
  std::vector<float> scales = channels.largest_magnitudes();
  for (size_t i = 0; i < scales.size(); ++i) {
    // A channel that is nothing, or that nobody reads, stays.
    if (scales[i] < kLeast || w[i] < kLeast) {
      scales[i] = 1;
      continue;
    }
    const double scale = std::pow(static_cast<double>(scales[i]), kAlpha) /
                         std::pow(static_cast<double>(w[i]), 1 - kAlpha);
    scales[i] = std::max(static_cast<float>(scale), kLeast);
  }
  return scales;
}

}  // namespace

constinit const Scaling kSmoothQuant = {
    .name = "smoothquant", .needs_hessian = false, .choose = choose, .method = &kRtn};

}  // namespace tessera
