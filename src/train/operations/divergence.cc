#include "train/operations/divergence.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>
#include <vector>

#include "train/curves.h"

namespace tessera::train {
namespace {

// softmax(logits / T), which stay where they are.
class SoftRow {
 public:
  void set(std::span<const float> logits, float temperature) {
    logits_ = logits;
    weights_.resize(logits.size());
    std::ranges::transform(logits, weights_.begin(), [&](float v) { return v / temperature; });
    const float most = largest(weights_);
    exponentials(weights_, most, weights_.data());
    const double sum = std::accumulate(weights_.begin(), weights_.end(), 0.0);
    inverse_temperature_ = 1 / static_cast<double>(temperature);
    inverse_sum_ = 1 / sum;
    log_sum_ = static_cast<double>(most) + std::log(sum);
  }
  size_t size() const { return weights_.size(); }
  double probability(size_t i) const { return static_cast<double>(weights_[i]) * inverse_sum_; }
  double log_probability(size_t i) const {
    return static_cast<double>(logits_[i]) * inverse_temperature_ - log_sum_;
  }
  // Of all tokens but those that are listed, ascending; never 0, so that it has a logarithm.
  double probability_beside(std::span<const size_t> listed) const {
    double rest = 0;
    auto next = listed.begin();
    for (size_t i = 0; i < size(); ++i) {
      if (next != listed.end() && *next == i) {
        ++next;
      } else {
        rest += static_cast<double>(weights_[i]);
      }
    }
    return std::max(rest, static_cast<double>(std::numeric_limits<float>::min())) * inverse_sum_;
  }

 private:
  std::span<const float> logits_;
  std::vector<float> weights_;  // e^(logit / T - the largest of them)
  double inverse_temperature_ = 1, inverse_sum_ = 1, log_sum_ = 0;
};

// The numbers of the largest, ascending.
void find_largest(std::span<const float> values, int count, std::vector<size_t>& found) {
  found.resize(values.size());
  std::iota(found.begin(), found.end(), size_t{0});
  if (static_cast<size_t>(count) >= values.size()) return;
  std::ranges::nth_element(found, found.begin() + count, [&](size_t a, size_t b) {
    return values[a] != values[b] ? values[a] > values[b] : a < b;
  });
  found.resize(static_cast<size_t>(count));
  std::ranges::sort(found);
}

// KL(p || q). `to`, if there is one, += slope (q - p).
double whole_row(const SoftRow& p, const SoftRow& q, double slope, float* to) {
  double loss = 0;
  for (size_t i = 0; i < p.size(); ++i)
    loss += p.probability(i) * (p.log_probability(i) - q.log_probability(i));
  if (to == nullptr) return loss;
  for (size_t i = 0; i < p.size(); ++i)
    to[i] += static_cast<float>(slope * (q.probability(i) - p.probability(i)));
  return loss;
}

// The same of the tokens that are kept and of the rest as one.
double kept_row(const SoftRow& p, const SoftRow& q, std::span<const size_t> kept, double slope,
                float* to) {
  if (kept.size() == p.size()) return whole_row(p, q, slope, to);
  double loss = 0;
  for (const size_t i : kept)
    loss += p.probability(i) * (p.log_probability(i) - q.log_probability(i));
  const double p_rest = p.probability_beside(kept), q_rest = q.probability_beside(kept);
  loss += p_rest * std::log(p_rest / q_rest);
  if (to == nullptr) return loss;
  const double share = 1 - p_rest / q_rest;  // of what a token of the rest has
  auto next = kept.begin();
  for (size_t i = 0; i < p.size(); ++i) {
    double gradient = q.probability(i) * share;
    if (next != kept.end() && *next == i) {
      gradient = q.probability(i) - p.probability(i);
      ++next;
    }
    to[i] += static_cast<float>(slope * gradient);
  }
  return loss;
}

double sum_of_divergences(ThreadPool& pool, DivergenceShape shape, HostRows teacher,
                          HostRows student, float factor, const HostTensor* dstudent) {
  std::vector<double> losses(static_cast<size_t>(student.rows));
  const double square = std::pow(static_cast<double>(shape.temperature), 2);
  const double slope = static_cast<double>(factor) * static_cast<double>(shape.temperature);
  pool.parallel_for(student.rows, [&](int r, int) {
    thread_local SoftRow p, q;
    thread_local std::vector<size_t> kept;
    const std::span<const float> t = teacher.row(r), s = student.row(r);
    p.set(t, shape.temperature);
    q.set(s, shape.temperature);
    float* to = dstudent == nullptr ? nullptr : dstudent->row(r);
    double loss = 0;
    if (shape.kept == 0) {
      loss = whole_row(p, q, slope, to);
    } else {
      find_largest(t, shape.kept, kept);
      loss = kept_row(p, q, kept, slope, to);
    }
    losses[static_cast<size_t>(r)] = square * loss;
  });
  return std::accumulate(losses.begin(), losses.end(), 0.0);
}

}  // namespace

double divergence(ThreadPool& pool, DivergenceShape shape, HostRows teacher, HostRows student) {
  return sum_of_divergences(pool, shape, teacher, student, 0, nullptr);
}

double divergence_back(ThreadPool& pool, DivergenceShape shape, HostRows teacher, HostRows student,
                       float factor, HostTensor dstudent) {
  return sum_of_divergences(pool, shape, teacher, student, factor, &dstudent);
}

}  // namespace tessera::train
