#include "evaluate/divergence.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace tessera {
namespace {

// The value that a share of all values lies below; reorders them. 0 if there are none.
double quantile(std::span<double> values, double share) {
  if (values.empty()) return 0;
  const auto at =
      values.begin() + static_cast<ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::ranges::nth_element(values, at);
  return *at;
}

}  // namespace

void Mean::add(double value) {
  ++count_;
  const double delta = value - mean_;
  mean_ += delta / static_cast<double>(count_);
  squares_ += delta * (value - mean_);
}

double Mean::standard_error() const {
  if (count_ < 2) return 0;
  return std::sqrt(squares_ / static_cast<double>(count_ - 1) / static_cast<double>(count_));
}

Perplexity PerplexitySums::result(int chunks) const {
  const double value = std::exp(loss_.value());
  return {.value = value,
          .standard_error = value * loss_.standard_error(),
          .chunks = chunks,
          .scored_tokens = loss_.count()};
}

void DivergenceSums::add(std::span<const float> p, std::span<const float> q, Token next) {
  const double log_zp = log_sum_exp(p), log_zq = log_sum_exp(q);
  double kl = 0;
  for (size_t v = 0; v < p.size(); ++v) {
    const double log_p = p[v] - log_zp;
    kl += std::exp(log_p) * (log_p - (q[v] - log_zq));
  }
  divergence_.add(kl);
  all_.push_back(kl);
  same_top_.add(
      std::ranges::max_element(p) - p.begin() == std::ranges::max_element(q) - q.begin() ? 1 : 0);
  loss_.add(log_zq - q[next]);
  reference_loss_.add(log_zp - p[next]);
}

Divergence DivergenceSums::result(int chunks) const {
  std::vector<double> all = all_;
  return {.mean_kl = divergence_.value(),
          .standard_error = divergence_.standard_error(),
          .median_kl = quantile(all, 0.5),
          .high_kl = quantile(all, 0.999),
          .max_kl = quantile(all, 1),
          .same_top = same_top_.value(),
          .model = loss_.result(chunks),
          .reference = reference_loss_.result(chunks)};
}

double log_sum_exp(std::span<const float> logits) {
  const double peak = *std::ranges::max_element(logits);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - peak);
  const double all = peak + std::log(sum);
  if (!std::isfinite(all)) fail("the model's predictions are not finite");
  return all;
}

double log_probability(std::span<const float> logits, Token token) {
  return logits[token] - log_sum_exp(logits);
}

}  // namespace tessera
