#include "model/layers/routing.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/assert.h"

namespace tessera {
namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();

std::vector<double> softmax(std::span<const double> scores) {
  const double most = *std::ranges::max_element(scores);
  std::vector<double> result;
  for (const double score : scores) result.push_back(std::exp(score - most));
  const double sum = std::accumulate(result.begin(), result.end(), 0.0);
  for (double& value : result) value /= sum;
  return result;
}

// Numbers of the `count` largest values, best first.
std::vector<int> best(std::span<const double> values, size_t count) {
  std::vector<int> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  const auto better = [&](int a, int b) {
    const double x = values[static_cast<size_t>(a)], y = values[static_cast<size_t>(b)];
    return x != y ? x > y : a < b;
  };
  std::partial_sort(order.begin(), order.begin() + static_cast<ptrdiff_t>(count), order.end(),
                    better);
  order.resize(count);
  return order;
}

// A group counts as its best two do (DeepSeek-V3), or where scores are probabilities, as its best
// one (DeepSeek-V2).
void keep_best_groups(const Routing& routing, std::vector<double>& values) {
  const size_t counted = routing.gating == Gating::kSoftmax ? 1 : 2;
  const auto groups = static_cast<size_t>(routing.groups);
  const size_t size = values.size() / groups;
  std::vector<double> sums;
  for (size_t g = 0; g < groups; ++g) {
    const auto group = std::span(values).subspan(g * size, size);
    sums.push_back(0);
    for (const int one : best(group, std::min(counted, size)))
      sums.back() += group[static_cast<size_t>(one)];
  }
  std::vector<bool> kept(groups);
  for (const int g : best(sums, static_cast<size_t>(routing.groups_used)))
    kept[static_cast<size_t>(g)] = true;
  for (size_t i = 0; i < values.size(); ++i) {
    if (!kept[i / size]) values[i] = kNever;
  }
}

}  // namespace

void choose_experts(const Routing& routing, std::span<const float> scores,
                    std::span<const float> correction, std::span<ChosenExpert> chosen) {
  TESSERA_ASSERT(chosen.size() <= scores.size());
  std::vector<double> weights(scores.begin(), scores.end());
  // Scores that are no numbers keep an order, so that experts can be chosen; what these answer is
  // then no number either, which whoever reads the predictions sees.
  const auto is_finite = [](float value) { return std::isfinite(value); };
  const bool is_sound =
      std::ranges::all_of(scores, is_finite) && std::ranges::all_of(correction, is_finite);
  for (double& weight : weights)
    weight = std::clamp(std::isnan(weight) ? -1e30 : weight, -1e30, 1e30);
  if (routing.gating == Gating::kSoftmax) weights = softmax(weights);
  if (routing.gating == Gating::kSigmoid) {
    for (double& weight : weights) weight = 1 / (1 + std::exp(-weight));
  }
  std::vector<double> values = weights;
  for (size_t i = 0; i < correction.size(); ++i) values[i] += correction[i];
  for (double& value : values) value = std::isnan(value) ? kNever : value;
  if (routing.groups > 1) keep_best_groups(routing, values);

  const std::vector<int> order = best(values, chosen.size());
  std::vector<double> shares;
  for (const int expert : order) shares.push_back(weights[static_cast<size_t>(expert)]);
  if (routing.gating == Gating::kSoftmaxOfChosen) shares = softmax(shares);
  const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
  double factor = routing.normalize && sum > 0 ? routing.scale / sum : routing.scale;
  if (!is_sound) factor = std::numeric_limits<double>::quiet_NaN();
  for (size_t i = 0; i < chosen.size(); ++i) {
    chosen[i] = {order[i], static_cast<float>(shares[i] * factor)};
  }
}

ExpertRows sort_by_expert(std::span<const ChosenExpert> chosen, int used, int experts) {
  ExpertRows sorted;
  sorted.first.resize(static_cast<size_t>(experts) + 1);
  for (const ChosenExpert& one : chosen) ++sorted.first[static_cast<size_t>(one.expert) + 1];
  std::partial_sum(sorted.first.begin(), sorted.first.end(), sorted.first.begin());
  std::vector<int32_t> next(sorted.first.begin(), sorted.first.end() - 1);
  sorted.rows.resize(chosen.size());
  for (size_t i = 0; i < chosen.size(); ++i) {
    const int32_t place = next[static_cast<size_t>(chosen[i].expert)]++;
    sorted.rows[static_cast<size_t>(place)] = static_cast<int32_t>(i) / used;
    sorted.places.push_back(place);
  }
  return sorted;
}

}  // namespace tessera
