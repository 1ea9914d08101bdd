#include "decode/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <utility>

#include "base/entropy.h"
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

Sampler::Sampler(SamplingOptions options, std::shared_ptr<const ConstraintSource> source,
                 std::vector<Ban> bans)
    : options_(std::move(options)), constraint_source_(std::move(source)), bans_(std::move(bans)) {
  options_.validate();
  // Of 32 bits: people type it again, and JSON readers keep it.
  if (!options_.seed) options_.seed = random_number() >> 32;
}

Token Sampler::choose(std::span<const float> logits, std::span<const Token> tokens,
                      size_t prompt_size) {
  logits = adjust(logits, tokens, prompt_size);
  note_complete();
  const std::span<const uint64_t> mask_bits =
      constraint_source_ ? constraint_->allowed() : std::span<const uint64_t>();
  const auto keep_allowed = [&](Token token) {
    // Where every allowed logit is NaN or -infinity, nothing else tells them from the others.
    return !constraint_source_ || is_allowed(mask_bits, token) ? token : first_of(mask_bits);
  };
  find_block_maxima(logits, block_maxima_);
  if (options_.temperature == 0) return keep_allowed(argmax(logits, block_maxima_));

  const Candidates candidates = filter(logits);
  const Noise noise{.seed = seed(), .position = tokens.size()};
  return keep_allowed(options_.top_p < 1 ? draw_top_p(candidates, noise)
                                         : draw(candidates, noise, kLeastLikely, kNothing).token);
}

// Known here, and not where the answer has ended: to go back is to read the answer anew.
void Sampler::note_complete() {
  if (!constraint_source_) return;
  complete_.resize(constrained_.size() + 1);
  complete_.back() = constraint_->complete();
}

namespace {

// Whether the ban is about the token that comes behind `answer`.
bool applies(const Ban& ban, std::span<const Token> answer) {
  const auto before = std::span(ban.tokens).first(ban.tokens.size() - 1);
  return answer.size() < ban.until && answer.size() >= before.size() &&
         std::ranges::equal(before, answer.last(before.size()));
}

}  // namespace

// The logits with penalties, biases, the constraint and bans; themselves if there are none.
std::span<const float> Sampler::adjust(std::span<const float> logits, std::span<const Token> tokens,
                                       size_t prompt_size, double log_total) {
  const bool penalized = options_.repetition_penalty != 1.0f || options_.presence_penalty != 0 ||
                         options_.frequency_penalty != 0 || !options_.logit_bias.empty();
  const auto answer = tokens.subspan(prompt_size);
  const bool banned =
      std::ranges::any_of(bans_, [&](const Ban& ban) { return applies(ban, answer); });
  if (!penalized && !constraint_source_ && !banned) return logits;
  logits_.assign(logits.begin(), logits.end());
  if (log_total != 0) {
    for (float& logit : logits_) logit = static_cast<float>(logit - log_total);
  }
  if (penalized) penalize(tokens, prompt_size);
  if (constraint_source_) mask(logits_, constraint_after(answer).allowed());
  if (banned) forbid(answer);
  return logits_;
}

std::vector<BeamToken> Sampler::likeliest(std::span<const float> logits,
                                          std::span<const Token> tokens, size_t prompt_size,
                                          int count) {
  find_block_maxima(logits, block_maxima_);
  const float best = largest(block_maxima_);
  const double mass = mass_before(
      {.logits = logits, .maxima = block_maxima_, .best = best, .temperature = 1}, kLeastLikely);
  const double log_total = best + std::log(mass);
  const auto adjusted = adjust(logits, tokens, prompt_size, log_total);
  note_complete();
  const bool is_adjusted = adjusted.data() != logits.data();
  if (is_adjusted) find_block_maxima(adjusted, block_maxima_);

  Candidates candidates{.logits = adjusted,
                        .maxima = block_maxima_,
                        .best = largest(block_maxima_),
                        .temperature = 1};
  keep_top_k(candidates, static_cast<size_t>(count));
  if (std::ssize(likeliest_) > count) likeliest_.resize(static_cast<size_t>(count));
  std::ranges::sort(likeliest_, more_likely);
  std::vector<BeamToken> result;
  for (const auto& [logit, token] : likeliest_) {
    const auto raw = static_cast<float>(logits[token] - log_total);
    const float logprob = is_adjusted ? logit : raw;
    if (std::isfinite(logprob)) result.push_back({token, logprob, raw});
  }
  if (result.empty()) result.push_back(last_resort(adjusted));
  return result;
}

void Sampler::probabilities(std::span<const float> logits, std::span<const Token> tokens,
                            size_t prompt_size, std::vector<double>& into) {
  logits = adjust(logits, tokens, prompt_size);
  const double best = *std::ranges::max_element(logits);
  double total = 0;
  into.clear();
  for (const float logit : logits)
    total += into.emplace_back(std::exp((logit - best) / options_.temperature));
  for (double& p : into) p /= total;
}

// Where every log-probability is NaN or -infinity.
BeamToken Sampler::last_resort(std::span<const float> logits) {
  constexpr float kLeast = -1e9f;  // as Hugging Face has it
  const Token token =
      constraint_source_ ? first_of(constraint_->allowed()) : argmax(logits, block_maxima_);
  return {.token = token, .logprob = kLeast, .raw = kLeast};
}

void Sampler::follow(const Sampler& other) {
  constraint_ = other.constraint_ == nullptr ? nullptr : other.constraint_->copy();
  constrained_ = other.constrained_;
  complete_ = other.complete_;
}

void Sampler::forbid(std::span<const Token> answer) {
  for (const Ban& ban : bans_) {
    const Token last = ban.tokens.back();
    const bool known = last >= 0 && static_cast<size_t>(last) < logits_.size();
    if (known && applies(ban, answer)) logits_[last] = kNothing;
  }
}

bool Sampler::prepare(std::span<const Token> answer, Deadline deadline) {
  return !constraint_source_ || constraint_after(answer).prepare(deadline);
}

std::shared_ptr<Constraint> Sampler::constraint(std::span<const Token> answer) {
  if (!constraint_source_) return nullptr;
  constraint_after(answer);
  return constraint_;
}

bool Sampler::completes(std::span<const Token> answer) {
  if (!constraint_source_) return true;
  const size_t size = answer.size();
  const bool was_passed = size < complete_.size() && size <= constrained_.size() &&
                          std::ranges::equal(answer, std::span(constrained_).first(size));
  if (was_passed && complete_[size]) return *complete_[size];
  return constraint_after(answer).complete();
}

std::unique_ptr<Constraint> Sampler::ahead(std::span<const Token> answer) const {
  if (constraint_source_ == nullptr) return nullptr;
  const bool is_known = goes_on(answer);
  auto ahead = is_known ? constraint_->copy() : constraint_source_->start();
  if (ahead == nullptr) return nullptr;
  for (const Token token : answer.subspan(is_known ? constrained_.size() : 0)) ahead->accept(token);
  return ahead;
}

// From where its constraint is.
bool Sampler::goes_on(std::span<const Token> answer) const {
  return constraint_ != nullptr && answer.size() >= constrained_.size() &&
         std::equal(constrained_.begin(), constrained_.end(), answer.begin());
}

// Where an answer does not go on from the last one, it is read anew.
Constraint& Sampler::constraint_after(std::span<const Token> answer) {
  if (!goes_on(answer)) {
    constraint_ = constraint_source_->start();
    constrained_.clear();
    complete_.clear();
  }
  for (const Token token : answer.subspan(constrained_.size())) {
    constraint_->accept(token);
    constrained_.push_back(token);
  }
  return *constraint_;
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

// What top-k and min-p keep.
Candidates Sampler::filter(std::span<const float> logits) {
  Candidates candidates{.logits = logits,
                        .maxima = block_maxima_,
                        .best = largest(block_maxima_),
                        .temperature = options_.temperature};
  if (options_.min_p > 0)
    candidates.last.logit = candidates.best + options_.temperature * std::log(options_.min_p);
  if (options_.top_k > 0) keep_top_k(candidates, static_cast<size_t>(options_.top_k));
  return candidates;
}

void Sampler::keep_top_k(Candidates& candidates, size_t k) {
  if (k <= block_maxima_.size()) {
    // At least k logits are as large as the k-th largest of the blocks' maxima.
    scratch_ = block_maxima_;
    const auto kth = scratch_.begin() + static_cast<ptrdiff_t>(k - 1);
    std::nth_element(scratch_.begin(), kth, scratch_.end(), std::greater<>());
    candidates.last.logit = std::max(candidates.last.logit, *kth);
  }
  likeliest_.clear();
  visit_at_least(candidates.logits, candidates.maxima, candidates.last.logit,
                 [this](float logit, Token token) {
                   likeliest_.push_back({logit, token});
                 });
  if (k >= likeliest_.size()) return;
  const auto last = likeliest_.begin() + static_cast<ptrdiff_t>(k - 1);
  std::nth_element(likeliest_.begin(), last, likeliest_.end(), more_likely);
  candidates.last = *last;
}

// Draws from all candidates; if top-p does not keep the token, from those more likely than it, and
// so on. A token is kept if those more likely have less probability than p. Most draws are kept at
// once, since all candidates are drawn from by probability: that is why this needs no sorting.
Token Sampler::draw_top_p(const Candidates& candidates, Noise noise) const {
  const double total = mass_before(candidates, kLeastLikely);
  if (total == 0) return 0;  // every logit was NaN
  const double limit = options_.top_p * total;
  // Were a kept token below this floor, all that is not kept could not come to total - limit.
  const auto floor =
      static_cast<float>(std::log((total - limit) / static_cast<double>(candidates.logits.size())));
  TokenLogit drawn = draw(candidates, noise, kLeastLikely, floor);
  while (mass_before(candidates, drawn) >= limit) drawn = draw(candidates, noise, drawn, floor);
  return drawn.token;
}

}  // namespace tessera
