#include "compress/disturbance.h"

#include <algorithm>
#include <cmath>

#include "base/assert.h"
#include "base/error.h"

namespace tessera {
namespace {

// Of the rows, every so many-th is scored: the output matrix is a large part of a small model.
constexpr size_t kScoredEvery = 4;

}  // namespace

Disturbance::Disturbance(LayerByLayer& model, ThreadPool& pool,
                         std::vector<std::vector<Token>> pieces)
    : model_(model),
      pool_(pool),
      pieces_(std::move(pieces)),
      embedding_(static_cast<size_t>(model.config().embedding)),
      rows_(pieces_.size() * pieces_.front().size()),
      now_(rows_ * embedding_) {
  const size_t size = now_.size() / pieces_.size();
  for (size_t p = 0; p < pieces_.size(); ++p)
    model_.embed(pieces_[p], std::span(now_).subspan(p * size, size));
}

size_t Disturbance::disturb_embedding(const StoredTensor& instead) {
  auto& rows = texts_.emplace_back(now_.size());
  const size_t size = rows.size() / pieces_.size();
  for (size_t p = 0; p < pieces_.size(); ++p)
    model_.embed(pieces_[p], std::span(rows).subspan(p * size, size), &instead);
  return texts_.size() - 1;
}

void Disturbance::forward(std::vector<float>& rows) {
  const size_t size = rows.size() / pieces_.size();
  for (size_t p = 0; p < pieces_.size(); ++p)
    model_.forward(std::span(rows).subspan(p * size, size));
}

void Disturbance::pass() {
  before_ = now_;
  forward(now_);
  for (auto& rows : texts_) forward(rows);
}

size_t Disturbance::branch() {
  texts_.push_back(now_);
  return texts_.size() - 1;
}

double Disturbance::disturb(size_t text) {
  disturbed_ = before_;
  forward(disturbed_);
  double sum = 0;
  std::vector<float>& rows = texts_[text];
  for (size_t i = 0; i < rows.size(); ++i) {
    const float moved = disturbed_[i] - now_[i];
    rows[i] += moved;
    sum += static_cast<double>(moved) * static_cast<double>(moved);
  }
  return sum;
}

template <typename Use>
void Disturbance::for_scored(std::span<const float> rows, Use use) {
  std::vector<float> some;
  size_t scored = 0;
  for (size_t r = kScoredEvery - 1; r < rows_; r += kScoredEvery) {
    const auto row = rows.subspan(r * embedding_, embedding_);
    some.insert(some.end(), row.begin(), row.end());
    const size_t count = some.size() / embedding_;
    if (count < LayerByLayer::kLogitRows && r + kScoredEvery < rows_) continue;
    use(scored, model_.logits(some));
    scored += count;
    some.clear();
  }
}

void Disturbance::predict() {
  const auto vocabulary = static_cast<size_t>(model_.config().vocabulary);
  logits_.resize(rows_ / kScoredEvery * vocabulary);
  chances_.resize(logits_.size());
  for_scored(now_, [&](size_t first, HostRows logits) {
    pool_.parallel_for(logits.rows, [&](int r, int) {
      const auto row = logits.row(r);
      const size_t begin = (first + static_cast<size_t>(r)) * vocabulary;
      const float peak = *std::ranges::max_element(row);
      double sum = 0;
      for (size_t v = 0; v < vocabulary; ++v) {
        logits_[begin + v] = row[v];
        chances_[begin + v] = std::exp(row[v] - peak);
        sum += static_cast<double>(chances_[begin + v]);
      }
      for (size_t v = 0; v < vocabulary; ++v) chances_[begin + v] /= static_cast<float>(sum);
    });
  });
}

double Disturbance::divergence_of(std::span<const float> rows) {
  const auto vocabulary = static_cast<size_t>(model_.config().vocabulary);
  TESSERA_ASSERT(!logits_.empty());
  std::vector<double> each(logits_.size() / vocabulary);
  for_scored(rows, [&](size_t first, HostRows logits) {
    pool_.parallel_for(logits.rows, [&](int r, int) {
      const size_t row = first + static_cast<size_t>(r);
      const float* was = logits_.data() + row * vocabulary;
      const float* p = chances_.data() + row * vocabulary;
      const auto is = logits.row(r);
      double mean = 0, square = 0;
      for (size_t v = 0; v < vocabulary; ++v) {
        const double moved = static_cast<double>(is[v]) - static_cast<double>(was[v]);
        mean += static_cast<double>(p[v]) * moved;
        square += static_cast<double>(p[v]) * moved * moved;
      }
      each[row] = std::max(0.0, (square - mean * mean) / 2);
    });
  });
  double sum = 0;
  for (const double one : each) sum += one;
  if (!std::isfinite(sum)) fail("the model's predictions are not finite on the calibration text");
  return sum / static_cast<double>(each.size());
}

}  // namespace tessera
