#include "decode/hit_rates.h"

#include <algorithm>

namespace tessera {
namespace {

constexpr double kPriorTrials = 6;
constexpr double kMostTrials = 200;  // more than so many of the latest do not count

}  // namespace

HitRates::HitRates(std::span<const float> priors) {
  for (const float prior : priors) buckets_.push_back({prior * kPriorTrials, kPriorTrials});
}

HitRates HitRates::like(const HitRates& others) {
  HitRates rates;
  for (size_t b = 0; b < others.buckets_.size(); ++b)
    rates.buckets_.push_back({others.rate(static_cast<int>(b)) * kPriorTrials, kPriorTrials});
  return rates;
}

double HitRates::rate(int first, int count) const {
  double hits = 0, trials = 0;
  for (int b = first; b < first + count; ++b)
    hits += buckets_[b].hits, trials += buckets_[b].trials;
  return hits / trials;
}

void HitRates::observe(int bucket, bool hit) {
  auto& [hits, trials] = buckets_[bucket];
  hits += hit ? 1 : 0;
  trials += 1;
  if (trials <= kMostTrials) return;
  hits *= kMostTrials / trials;
  trials = kMostTrials;
}

}  // namespace tessera
