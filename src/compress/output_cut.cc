#include "compress/output_cut.h"

#include <algorithm>

#include "base/matrix_product.h"
#include "compress/recoder.h"

namespace tessera {
namespace {

constexpr size_t kPanel = 64;  // rows, or columns, that a thread works on at a time

int panels(size_t count) {
  return static_cast<int>((count + kPanel - 1) / kPanel);
}

}  // namespace

OutputCut::OutputCut(const StoredTensor& matrix, ThreadPool& pool)
    : rows_(matrix.rows()), columns_(matrix.columns()), weights_(matrix.elements()), pool_(pool) {
  require_finite(matrix, pool);
  pool.parallel_for(panels(rows_), [&](int panel, int) {
    const size_t first = static_cast<size_t>(panel) * kPanel;
    const size_t count = std::min(kPanel, rows_ - first);
    matrix.decode(first, count, std::span(weights_).subspan(first * columns_, count * columns_));
  });
}

std::vector<double> OutputCut::scores(const InputMoments& inputs) const {
  std::vector<double> scores(columns_);
  pool_.parallel_for(panels(columns_), [&](int panel, int) {
    const size_t first = static_cast<size_t>(panel) * kPanel;
    const size_t end = std::min(columns_, first + kPanel);
    for (size_t r = 0; r < rows_; ++r) {
      const float* row = weights_.data() + r * columns_;
      for (size_t c = first; c < end; ++c) scores[c] += static_cast<double>(row[c]) * row[c];
    }
    for (size_t c = first; c < end; ++c) scores[c] *= inputs.squares()[c];
  });
  return scores;
}

std::vector<float> OutputCut::keep(std::span<const size_t> kept, InputMoments* inputs) const {
  const size_t stay = kept.size(), go = columns_ - stay;
  std::vector<size_t> order;
  for (size_t c = 0; c < columns_; ++c) {
    if (!std::ranges::binary_search(kept, c)) order.push_back(c);
  }
  order.insert(order.end(), kept.begin(), kept.end());

  UduFactors factors;
  if (inputs != nullptr) {
    inputs->reorder(order);
    factors = inputs->factorize(0, pool_);
  }
  const float* u = factors.u.data();
  std::vector<float> out(rows_ * stay);
  pool_.parallel_for(panels(rows_), [&](int panel, int) {
    const size_t first = static_cast<size_t>(panel) * kPanel;
    const size_t count = std::min(kPanel, rows_ - first);
    std::vector<float> gone(go * count), added(stay * count), row(stay);
    if (inputs != nullptr) {
      for (size_t i = 0; i < go; ++i) {
        for (size_t r = 0; r < count; ++r)
          gone[i * count + r] = weights_[(first + r) * columns_ + order[i]];
      }
      multiply(nullptr, transposed(u + go, columns_), by_rows(gone.data(), count), stay, go, count,
               1, added.data(), count, Into::kAdd);
    }
    for (size_t r = 0; r < count; ++r) {
      for (size_t i = 0; i < stay; ++i) row[i] = added[i * count + r];
      if (inputs != nullptr) solve_unit_upper({u + go * columns_ + go, columns_}, row);
      for (size_t i = 0; i < stay; ++i)
        out[(first + r) * stay + i] = weights_[(first + r) * columns_ + kept[i]] + row[i];
    }
  });
  return out;
}

}  // namespace tessera
