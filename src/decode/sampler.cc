#include "decode/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <utility>

#include "base/error.h"
#include "decode/block_maxima.h"
#include "decode/random.h"

namespace tessera {
namespace {

constexpr float kNothing = -std::numeric_limits<float>::infinity();

// The least token that is allowed.
Token first_of(std::span<const uint64_t> allowed) {
  for (size_t word = 0; word < allowed.size(); ++word) {
    if (allowed[word] != 0)
      return static_cast<Token>(word * 64 + static_cast<size_t>(std::countr_zero(allowed[word])));
  }
  return 0;
}

void mask(std::span<float> logits, std::span<const uint64_t> allowed) {
  for (size_t first = 0; first < logits.size(); first += 64) {
    const uint64_t word = first / 64 < allowed.size() ? allowed[first / 64] : 0;
    if (word == ~uint64_t{0}) continue;
    const size_t count = std::min<size_t>(64, logits.size() - first);
    for (size_t i = 0; i < count; ++i) {
      if ((word >> i & 1) == 0) logits[first + i] = kNothing;
    }
  }
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
  logits = adjust(logits, tokens, prompt_size);
  const std::span<const uint64_t> mask_bits =
      options_.constraint ? constraint_->allowed() : std::span<const uint64_t>();
  const auto keep_allowed = [&](Token token) {
    // Where every allowed logit is NaN or -infinity, nothing else tells them from the others.
    return !options_.constraint || is_allowed(mask_bits, token) ? token : first_of(mask_bits);
  };
  find_block_maxima(logits, block_maxima_);
  if (options_.temperature == 0) return keep_allowed(argmax(logits, block_maxima_));

  filter(logits);
  Token best = candidates_.front().token;
  float best_score = kNothing;
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
  return keep_allowed(best);
}

// The logits with penalties, biases and the constraint; themselves if there are none.
std::span<const float> Sampler::adjust(std::span<const float> logits, std::span<const Token> tokens,
                                       size_t prompt_size) {
  const bool penalized = options_.repetition_penalty != 1.0f || options_.presence_penalty != 0 ||
                         options_.frequency_penalty != 0 || !options_.logit_bias.empty();
  if (!penalized && !options_.constraint) return logits;
  logits_.assign(logits.begin(), logits.end());
  if (penalized) penalize(tokens, prompt_size);
  if (options_.constraint) mask(logits_, allowed(tokens.subspan(prompt_size)));
  return logits_;
}

// What may follow `answer`. Where an answer does not go on from the last one, it is read anew.
std::span<const uint64_t> Sampler::allowed(std::span<const Token> answer) {
  const bool goes_on = constraint_ != nullptr && answer.size() >= constrained_.size() &&
                       std::equal(constrained_.begin(), constrained_.end(), answer.begin());
  if (!goes_on) {
    constraint_ = options_.constraint->start();
    constrained_.clear();
  }
  for (const Token token : answer.subspan(constrained_.size())) {
    constraint_->accept(token);
    constrained_.push_back(token);
  }
  return constraint_->allowed();
}

// Penalties and biases change the logits of a few tokens.
void Sampler::penalize(std::span<const Token> tokens, size_t prompt_size) {
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
void Sampler::filter(std::span<const float> logits) {
  const float best = largest(block_maxima_);
  // min-p bounds the logits below, so it can go first: p >= min_p * p_best for any later top-k.
  float floor =
      options_.min_p > 0 ? best + options_.temperature * std::log(options_.min_p) : kNothing;
  const auto k = static_cast<size_t>(options_.top_k);
  if (k > 0 && k <= block_maxima_.size()) {
    // At least k logits are as large as the k-th largest of the blocks' maxima.
    scratch_ = block_maxima_;
    const auto kth = scratch_.begin() + static_cast<ptrdiff_t>(k - 1);
    std::nth_element(scratch_.begin(), kth, scratch_.end(), std::greater<>());
    floor = std::max(floor, *kth);
  }
  candidates_.clear();
  visit_at_least(logits, block_maxima_, floor, [this](float logit, Token token) {
    candidates_.push_back({logit, token});
  });
  if (candidates_.empty()) candidates_.push_back({0.0f, 0});  // every logit was NaN

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
  if (options_.top_p < 1) keep_top_p();
}

// Sorts no more than it must: the most likely few, then eight times as many, and so on.
void Sampler::keep_top_p() {
  double total = 0;
  for (const Candidate& candidate : candidates_)
    total += std::exp(static_cast<double>(candidate.logit));
  double kept = 0;
  size_t size = 0, sorted = 0;
  while (size < candidates_.size() && kept < options_.top_p * total) {
    if (size == sorted) {
      const auto begin = candidates_.begin() + static_cast<ptrdiff_t>(sorted);
      sorted = std::min(candidates_.size(), std::max<size_t>(64, sorted * 8));
      const auto end = candidates_.begin() + static_cast<ptrdiff_t>(sorted);
      if (end != candidates_.end()) std::nth_element(begin, end, candidates_.end(), more_likely);
      std::sort(begin, end, more_likely);
    }
    kept += std::exp(static_cast<double>(candidates_[size++].logit));
  }
  candidates_.resize(std::max<size_t>(size, 1));
}

}  // namespace tessera
