#include "decode/logprobs.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace tessera {

TokenLogprobs find_logprobs(std::span<const float> logits, Token token, int count) {
  const float best = *std::ranges::max_element(logits);
  double total = 0;
  for (const float logit : logits) total += std::exp(static_cast<double>(logit - best));
  const double log_total = best + std::log(total);
  const auto logprob = [&](Token t) { return static_cast<float>(logits[t] - log_total); };

  TokenLogprobs result{.token = token, .logprob = logprob(token), .top = {}};
  if (count <= 0) return result;
  std::vector<Token> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const auto kept = order.begin() + std::min<ptrdiff_t>(count, std::ssize(order));
  std::partial_sort(order.begin(), kept, order.end(), [&](Token a, Token b) {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  });
  for (auto t = order.begin(); t != kept; ++t) result.top.emplace_back(*t, logprob(*t));
  return result;
}

}  // namespace tessera
