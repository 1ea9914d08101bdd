#include "decode/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/error.h"
#include "decode/random.h"

namespace tessera {
namespace {

// The lowest id among the largest; NaN never wins.
Token argmax(std::span<const float> logits) {
  Token best = 0;
  float best_logit = -std::numeric_limits<float>::infinity();
  for (size_t v = 0; v < logits.size(); ++v) {
    if (logits[v] > best_logit) {
      best_logit = logits[v];
      best = static_cast<Token>(v);
    }
  }
  return best;
}

}  // namespace

void SamplingOptions::validate() const {
  const auto check = [](const char* name, double value, bool ok, const char* range) {
    if (!ok || std::isnan(value)) fail("{} is {}, expected {}", name, value, range);
  };
  check("temperature", temperature, temperature >= 0 && std::isfinite(temperature),
        "a number >= 0");
  check("top-k", top_k, top_k >= 0, "a number >= 0");
  check("top-p", top_p, top_p > 0 && top_p <= 1, "a number in (0, 1]");
  check("min-p", min_p, min_p >= 0 && min_p <= 1, "a number in [0, 1]");
  check("repetition penalty", repetition_penalty,
        repetition_penalty > 0 && std::isfinite(repetition_penalty), "a number > 0");
  check("presence penalty", presence_penalty, std::isfinite(presence_penalty), "a finite number");
  check("frequency penalty", frequency_penalty, std::isfinite(frequency_penalty),
        "a finite number");
  for (const auto& [token, bias] : logit_bias) {
    check("a logit bias", bias, !(bias > std::numeric_limits<float>::max()),
          "a number or -infinity");
  }
  check("penalty window", penalty_window, penalty_window >= -1, "-1 or more");
}

Token Sampler::choose(std::span<const float> logits, std::span<const Token> tokens,
                      size_t prompt_size) {
  logits_.assign(logits.begin(), logits.end());
  adjust(tokens, prompt_size);
  if (options_.temperature == 0) return argmax(logits_);

  filter();
  Token best = candidates_.front().token;
  float best_score = -std::numeric_limits<float>::infinity();
  for (const Candidate& candidate : candidates_) {
    // No noise can lift a candidate by more than kGumbelMax: most of a vocabulary needs no draw.
    if (candidate.logit + kGumbelMax < best_score) continue;
    const float score = candidate.logit + gumbel(options_.seed, tokens.size(),
                                                 static_cast<uint32_t>(candidate.token));
    if (score > best_score) {
      best_score = score;
      best = candidate.token;
    }
  }
  return best;
}

// Penalties and biases change the logits of a few tokens.
void Sampler::adjust(std::span<const Token> tokens, size_t prompt_size) {
  if (options_.repetition_penalty != 1.0f) {
    const size_t window =
        options_.penalty_window < 0
            ? tokens.size()
            : std::min<size_t>(tokens.size(), static_cast<size_t>(options_.penalty_window));
    std::vector<Token> seen(tokens.end() - static_cast<ptrdiff_t>(window), tokens.end());
    std::ranges::sort(seen);
    seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
    for (const Token token : seen) {
      float& logit = logits_[token];
      logit = logit > 0 ? logit / options_.repetition_penalty : logit * options_.repetition_penalty;
    }
  }
  if (options_.presence_penalty != 0 || options_.frequency_penalty != 0) {
    std::unordered_map<Token, int> counts;
    for (const Token token : tokens.subspan(prompt_size)) ++counts[token];
    for (const auto& [token, count] : counts) {
      logits_[token] -=
          options_.presence_penalty + options_.frequency_penalty * static_cast<float>(count);
    }
  }
  for (const auto& [token, bias] : options_.logit_bias) {
    if (token >= 0 && static_cast<size_t>(token) < logits_.size()) logits_[token] += bias;
  }
}

// Divides by the temperature, then keeps what top-k, min-p and top-p keep, in that order.
void Sampler::filter() {
  const float best = logits_[argmax(logits_)];
  // min-p bounds the logits below, so it can go first: p >= min_p * p_best for any later top-k.
  const float floor = options_.min_p > 0 ? best + options_.temperature * std::log(options_.min_p)
                                         : -std::numeric_limits<float>::infinity();
  candidates_.clear();
  for (size_t v = 0; v < logits_.size(); ++v) {
    if (logits_[v] >= floor) candidates_.push_back({logits_[v], static_cast<Token>(v)});
  }
  if (candidates_.empty()) candidates_.push_back({0.0f, 0});  // every logit was NaN

  const auto more_likely = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
  };
  const auto k = static_cast<size_t>(options_.top_k);
  if (k > 0 && k < candidates_.size()) {
    std::nth_element(candidates_.begin(), candidates_.begin() + static_cast<ptrdiff_t>(k),
                     candidates_.end(), more_likely);
    candidates_.resize(k);
  }
  // The difference first: with a tiny temperature, dividing first would give inf - inf.
  for (Candidate& candidate : candidates_) {
    candidate.logit =
        candidate.logit == best ? 0.0f : (candidate.logit - best) / options_.temperature;
  }
  if (options_.top_p < 1) {
    std::ranges::sort(candidates_, more_likely);
    double total = 0;
    for (const Candidate& candidate : candidates_)
      total += std::exp(static_cast<double>(candidate.logit));
    double kept = 0;
    size_t size = 0;
    while (size < candidates_.size() && kept < options_.top_p * total) {
      kept += std::exp(static_cast<double>(candidates_[size++].logit));
    }
    candidates_.resize(std::max<size_t>(size, 1));
  }
}

}  // namespace tessera
