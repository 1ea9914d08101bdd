#include "decode/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <random>
#include <set>

#include "base/error.h"
#include "base/simd/target.h"
#include "decode/block_maxima.h"
#include "decode/draw.h"
#include "decode/random.h"

namespace tessera {
namespace {

SamplingOptions unfiltered(uint64_t seed = 0) {
  return {.temperature = 1, .top_k = 0, .top_p = 1, .min_p = 0, .seed = seed};
}

// Known answers of the authors' Random123 distribution (kat_vectors).
TEST(Philox, GivesTheKnownAnswers) {
  using Words = std::array<uint32_t, 4>;
  EXPECT_EQ(philox({0, 0, 0, 0}, 0), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, 0xffffffffffffffff),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0x299f31d0a4093822),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Gumbel, HasTheDistributionsMeanAndNeverExceedsItsBound) {
  double sum = 0;
  const int count = 200000;
  for (int i = 0; i < count; ++i) {
    const float g = gumbel(7, i, 3);
    ASSERT_LE(g, kGumbelMax);
    ASSERT_TRUE(std::isfinite(g));
    sum += g;
  }
  // Standard deviation pi/sqrt(6) = 1.28, so 0.015 is five standard errors.
  EXPECT_NEAR(sum / count, std::numbers::egamma, 0.015);
}

TEST(Sampler, GreedyTakesTheFirstOfTheLargest) {
  Sampler sampler({.temperature = 0});
  const std::vector<float> logits = {1, 5, 5, -2};
  EXPECT_EQ(sampler.choose(logits, {}, 0), 1);
}

TEST(Sampler, GreedyPassesOverNaN) {
  Sampler sampler({.temperature = 0});
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(sampler.choose(std::vector<float>{nan, 1, nan}, {}, 0), 1);
}

TEST(Sampler, FollowsTheSoftmaxDistribution) {
  const std::vector<float> logits = {0, std::log(2.0f), std::log(5.0f), -30};
  std::vector<int> counts(4);
  const int count = 40000;
  Sampler sampler(unfiltered(42));
  std::vector<Token> tokens;
  for (int i = 0; i < count; ++i) {
    tokens.push_back(0);  // another position, hence other noise
    ++counts[sampler.choose(logits, tokens, 0)];
  }
  for (int v = 0; v < 3; ++v) {
    const double p = std::exp(logits[v]) / 8;
    EXPECT_NEAR(counts[v], p * count, 5 * std::sqrt(p * (1 - p) * count)) << v;
  }
  EXPECT_EQ(counts[3], 0);
}

TEST(Sampler, TheTokenDependsOnSeedAndPositionOnly) {
  std::vector<float> logits(1000);
  for (size_t v = 0; v < logits.size(); ++v) logits[v] = static_cast<float>(v % 7);
  const std::vector<Token> tokens = {1, 2, 3}, other = {3, 2, 1};
  Sampler a(unfiltered(5)), b(unfiltered(5)), c(unfiltered(6));
  b.choose(logits, other, 0);  // earlier calls leave nothing behind
  EXPECT_EQ(a.choose(logits, tokens, 0), b.choose(logits, other, 0));
  EXPECT_NE(a.choose(logits, tokens, 0), c.choose(logits, tokens, 0));
}

std::set<Token> drawn(const SamplingOptions& options, const std::vector<float>& logits) {
  Sampler sampler(options);
  std::set<Token> seen;
  std::vector<Token> tokens;
  for (int i = 0; i < 2000; ++i) {
    tokens.push_back(0);
    seen.insert(sampler.choose(logits, tokens, tokens.size()));
  }
  return seen;
}

TEST(Sampler, TopKKeepsTheKMostLikely) {
  auto options = unfiltered();
  options.top_k = 2;
  EXPECT_EQ(drawn(options, {1, 3, 2, 2.5f}), (std::set<Token>{1, 3}));
}

TEST(Sampler, TopPKeepsTheSmallestSetThatReachesP) {
  auto options = unfiltered();
  // Probabilities 0.5, 0.3, 0.15, 0.05.
  const std::vector<float> logits = {std::log(0.15f), std::log(0.5f), std::log(0.05f),
                                     std::log(0.3f)};
  options.top_p = 0.79f;
  EXPECT_EQ(drawn(options, logits), (std::set<Token>{1, 3}));
  options.top_p = 0.81f;
  EXPECT_EQ(drawn(options, logits), (std::set<Token>{0, 1, 3}));
  options.top_p = 0.01f;
  EXPECT_EQ(drawn(options, logits), (std::set<Token>{1}));
}

TEST(Sampler, MinPIsRelativeToTheBest) {
  auto options = unfiltered();
  const std::vector<float> logits = {std::log(0.15f), std::log(0.5f), std::log(0.05f),
                                     std::log(0.3f)};
  options.min_p = 0.5f;
  EXPECT_EQ(drawn(options, logits), (std::set<Token>{1, 3}));
}

TEST(Sampler, PenaltiesAndBiasChangeTheChoice) {
  const std::vector<float> logits = {2.0f, 1.9f, 0.0f};
  const std::vector<Token> tokens = {0, 0};
  EXPECT_EQ(Sampler({.temperature = 0}).choose(logits, tokens, 0), 0);
  EXPECT_EQ(Sampler({.temperature = 0, .repetition_penalty = 1.2f}).choose(logits, tokens, 2), 1);
  EXPECT_EQ(Sampler({.temperature = 0, .presence_penalty = 0.2f}).choose(logits, tokens, 0), 1);
  EXPECT_EQ(Sampler({.temperature = 0, .presence_penalty = 0.2f}).choose(logits, tokens, 2), 0)
      << "presence and frequency count generated tokens, not the prompt";
  EXPECT_EQ(Sampler({.temperature = 0, .frequency_penalty = 0.06f}).choose(logits, tokens, 0), 1);
  const float never = -std::numeric_limits<float>::infinity();
  EXPECT_EQ(
      Sampler({.temperature = 0, .logit_bias = {{0, never}, {2, 2.5f}}}).choose(logits, tokens, 0),
      2);
}

TEST(Sampler, ATinyTemperatureIsGreedy) {
  auto options = unfiltered();
  options.temperature = 1e-38f;
  options.top_p = 0.9f;
  EXPECT_EQ(Sampler(options).choose(std::vector<float>{1, 20, 19, 3}, {}, 0), 1);
}

TEST(Sampler, RefusesABiasThatIsNoNumber) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_THROW(Sampler({.logit_bias = {{5, infinity}}}), Error);
  EXPECT_THROW(Sampler({.logit_bias = {{5, std::nanf("")}}}), Error);
}

TEST(Sampler, RefusesOptionsOutOfRange) {
  EXPECT_THROW(Sampler({.temperature = -1}), Error);
  EXPECT_THROW(Sampler({.temperature = std::numeric_limits<float>::quiet_NaN()}), Error);
  EXPECT_THROW(Sampler({.top_p = 0}), Error);
  EXPECT_THROW(Sampler({.min_p = 2}), Error);
  EXPECT_THROW(Sampler({.repetition_penalty = 0}), Error);
}

// The rule as it is written down, one plain step after the other.
Token reference(const SamplingOptions& o, std::vector<float> logits, size_t position) {
  const float nothing = -std::numeric_limits<float>::infinity();
  Token best = 0;
  float best_logit = nothing;
  for (size_t v = 0; v < logits.size(); ++v) {
    if (logits[v] > best_logit) {
      best_logit = logits[v];
      best = static_cast<Token>(v);
    }
  }
  if (o.temperature == 0) return best;
  struct Candidate {
    float logit;
    Token token;
  };
  const float floor = o.min_p > 0 ? best_logit + o.temperature * std::log(o.min_p) : nothing;
  std::vector<Candidate> candidates;
  for (size_t v = 0; v < logits.size(); ++v)
    if (logits[v] >= floor) candidates.push_back({logits[v], static_cast<Token>(v)});
  if (candidates.empty()) return 0;
  const auto likelier = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
  };
  std::ranges::sort(candidates, likelier);
  if (o.top_k > 0 && static_cast<size_t>(o.top_k) < candidates.size())
    candidates.resize(static_cast<size_t>(o.top_k));
  double total = 0, kept = 0;
  for (Candidate& c : candidates) {
    c.logit = c.logit == best_logit ? 0.0f : (c.logit - best_logit) / o.temperature;
    total += std::exp(static_cast<double>(c.logit));
  }
  std::ranges::sort(candidates, likelier);  // the division may have made equals
  if (o.top_p < 1) {
    size_t size = 0;
    while (size < candidates.size() && kept < o.top_p * total)
      kept += std::exp(static_cast<double>(candidates[size++].logit));
    candidates.resize(std::max<size_t>(size, 1));
  }
  float best_score = nothing;
  best = candidates[0].token;
  for (const Candidate& c : candidates) {
    const float score = c.logit + gumbel(*o.seed, position, static_cast<uint32_t>(c.token));
    if (score > best_score || (score == best_score && c.token < best)) {
      best_score = score;
      best = c.token;
    }
  }
  return best;
}

TEST(Sampler, GivesTheTokenOfThePlainRule) {
  std::mt19937 random(11);
  std::normal_distribution<float> normal;
  const auto one_of = [&](auto... values) {
    const std::array choices{values...};
    return choices[random() % choices.size()];
  };
  std::vector<Token> tokens;
  for (int i = 0; i < 3000; ++i) {
    std::vector<float> logits(1 + random() % one_of(3u, 70u, 700u, 5000u));
    const float scale = one_of(0.0f, 0.1f, 1.0f, 4.0f, 20.0f);
    const float grid = one_of(0.0f, 0.0f, 0.5f, 4.0f);  // ties
    for (float& logit : logits) {
      logit = normal(random) * scale;
      if (grid > 0) logit = std::round(logit / grid) * grid;
    }
    if (random() % 4 == 0) {
      for (size_t n = random() % (logits.size() + 1); n > 0; --n)
        logits[random() % logits.size()] =
            one_of(std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity(),
                   0.0f, -0.0f);
      logits[random() % logits.size()] = 1;
    }
    SamplingOptions options{.temperature = one_of(0.0f, 0.2f, 0.8f, 1.0f, 3.0f),
                            .top_k = one_of(0, 1, 2, 40, 500),
                            .top_p = one_of(1.0f, 0.95f, 0.5f, 0.01f),
                            .min_p = one_of(0.0f, 0.05f, 0.5f),
                            .seed = random()};
    tokens.push_back(0);
    EXPECT_EQ(Sampler(options).choose(logits, tokens, tokens.size()),
              reference(options, logits, tokens.size()))
        << i;
  }
}

// Rows as models give them and as they never should: flat and steep, with ties, with values that
// are no numbers.
std::vector<float> odd_row(std::mt19937& random, size_t size) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr std::array kSpecial{
      std::numeric_limits<float>::quiet_NaN(), -kInfinity, kInfinity, 0.0f, -0.0f, 1e30f,
      -std::numeric_limits<float>::max()};
  constexpr std::array kScales{0.0f, 1e-6f, 1.0f, 2.5f, 8.0f, 100.0f};
  std::normal_distribution<float> normal(0, kScales[random() % kScales.size()]);
  const bool ties = random() % 3 == 0;
  std::vector<float> row(size);
  for (float& logit : row) logit = ties ? std::round(normal(random)) : normal(random);
  if (random() % 3 == 0) row[random() % size] += 20;  // one that is all but certain
  if (random() % 3 == 0) {
    const float special = kSpecial[random() % kSpecial.size()];
    for (size_t n = random() % (2 * size); n > 0; --n) row[random() % size] = special;
    row[random() % size] = kSpecial[random() % kSpecial.size()];
  }
  return row;
}

TEST(Sampler, GivesTheTokenOfThePlainRuleForAnyRowOnEveryInstructionSet) {
  constexpr std::array kTemperatures{1.0f, 1.0f, 0.6f, 3.0f, 1e-3f, 1e-38f, 1e-45f, 3e38f};
  constexpr std::array kTopP{1.0f, 1.0f, 0.95f, 0.6f, 1e-3f, 0.9999999f, 1e-30f};
  for (const char* target : available_targets()) {
    cap_target(target);
    std::mt19937 random(12);
    std::vector<Token> tokens;
    for (int i = 0; i < 600; ++i) {
      const size_t size = i % 50 == 0 ? 49'152 : 1 + random() % (random() % 2 == 0 ? 200 : 3000);
      const std::vector<float> row = odd_row(random, size);
      const SamplingOptions options{.temperature = kTemperatures[random() % kTemperatures.size()],
                                    .top_k = random() % 4 == 0 ? 60 : 0,
                                    .top_p = kTopP[random() % kTopP.size()],
                                    .min_p = random() % 4 == 0 ? 1e-3f : 0.0f,
                                    .seed = random() * uint64_t{0x100000001}};
      tokens.push_back(0);
      ASSERT_EQ(Sampler(options).choose(row, tokens, tokens.size()),
                reference(options, row, tokens.size()))
          << i << " on " << target;
    }
  }
  cap_target("");
}

// What top-p compares: with the sum of exp over all tokens before a place.
TEST(Draw, TheMassBeforeAPlaceIsThatOfTheTokensMoreLikely) {
  std::mt19937 random(13);
  for (const char* target : available_targets()) {
    cap_target(target);
    for (int i = 0; i < 100; ++i) {
      std::normal_distribution<float> normal(0, i % 2 == 0 ? 1.0f : 6.0f);
      std::vector<float> row(1 + random() % 2000);
      for (float& logit : row) logit = i % 3 == 0 ? std::round(normal(random)) : normal(random);
      std::vector<float> maxima;
      find_block_maxima(row, maxima);
      const Candidates candidates{
          .logits = row, .maxima = maxima, .best = largest(maxima), .temperature = 0.7f};
      const auto token = static_cast<Token>(random() % row.size());
      const TokenLogit end =
          i % 5 == 0 ? kLeastLikely : TokenLogit{candidates.scaled(row[token]), token};
      double expected = 0;
      for (size_t v = 0; v < row.size(); ++v) {
        const TokenLogit scaled{candidates.scaled(row[v]), static_cast<Token>(v)};
        if (more_likely(scaled, end)) expected += std::exp(static_cast<double>(scaled.logit));
      }
      EXPECT_NEAR(mass_before(candidates, end), expected, 1e-6 * expected) << i << " on " << target;
    }
  }
  cap_target("");
}

// Allows what a list says, one entry for each token so far.
class ListConstraint final : public Constraint, public ConstraintSource {
 public:
  explicit ListConstraint(std::vector<std::vector<Token>> list) : list_(std::move(list)) {}
  std::unique_ptr<Constraint> start() const override {
    return std::make_unique<ListConstraint>(list_);
  }
  std::span<const uint64_t> allowed() override {
    mask_.assign(2, 0);
    for (const Token token : list_.at(accepted_)) mask_[token / 64] |= uint64_t{1} << (token % 64);
    return mask_;
  }
  bool complete() override { return accepted_ == list_.size(); }
  void accept(Token) override { ++accepted_; }
  std::unique_ptr<Constraint> copy() const override {
    return std::make_unique<ListConstraint>(*this);
  }

 private:
  std::vector<std::vector<Token>> list_;
  std::vector<uint64_t> mask_;
  size_t accepted_ = 0;
};

TEST(Sampler, AConstraintMasksTheLogits) {
  std::vector<float> logits(200, 1.0f);
  logits[150] = 9;  // beyond the mask's words
  logits[70] = 8;
  logits[3] = 7;
  Sampler sampler({.temperature = 0},
                  std::make_shared<ListConstraint>(
                      std::vector<std::vector<Token>>{{3, 5, 70}, {3, 5}, {5, 6}, {100}}));
  EXPECT_EQ(sampler.choose(logits, std::vector<Token>{1}, 1), 70);
  EXPECT_EQ(sampler.choose(logits, std::vector<Token>{1, 70}, 1), 3);
  EXPECT_EQ(sampler.choose(logits, std::vector<Token>{1, 70, 3}, 1), 5);
  EXPECT_FALSE(sampler.completes(std::vector<Token>{70, 3, 5}));
  EXPECT_TRUE(sampler.completes(std::vector<Token>{70, 3, 5, 100}));
  EXPECT_EQ(sampler.choose(logits, std::vector<Token>{1, 70, 3, 5}, 1), 100);
  EXPECT_FALSE(sampler.completes(std::vector<Token>{70, 3, 5})) << "as it was found on the way";
  EXPECT_EQ(sampler.choose(logits, std::vector<Token>{1, 70}, 1), 3) << "going back is no problem";
  EXPECT_EQ(sampler.choose(logits, std::vector<Token>{2, 2, 9}, 3), 70) << "nor is another answer";
}

TEST(Sampler, WhoLooksAheadHasAConstraintOfTheirOwn) {
  std::vector<float> logits(100, 1.0f);
  logits[70] = 8;
  using List = std::vector<std::vector<Token>>;
  Sampler sampler({.temperature = 0},
                  std::make_shared<ListConstraint>(List{{70, 3}, {4, 70}, {5, 6}, {7}}));
  const auto allowed = [](Constraint& constraint) {
    std::vector<Token> tokens;
    for (Token token = 0; token < 100; ++token) {
      if (is_allowed(constraint.allowed(), token)) tokens.push_back(token);
    }
    return tokens;
  };
  EXPECT_EQ(allowed(*sampler.ahead({})), (std::vector<Token>{3, 70})) << "before anything came";
  const std::vector<Token> answer = {70, 4};
  EXPECT_EQ(sampler.choose(logits, std::vector<Token>{1}, 1), 70);
  const auto ahead = sampler.ahead(answer);
  EXPECT_EQ(allowed(*ahead), (std::vector<Token>{5, 6}));
  ahead->accept(5);
  EXPECT_EQ(allowed(*ahead), (std::vector<Token>{7}));
  EXPECT_EQ(sampler.choose(logits, std::vector<Token>{1, 70}, 1), 70) << "nothing has changed";
  EXPECT_EQ(allowed(*sampler.ahead(std::vector<Token>{70})), (std::vector<Token>{4, 70}));
  EXPECT_EQ(Sampler({}).ahead(answer), nullptr);
}

TEST(Sampler, BannedTokensDoNotCome) {
  const std::vector<float> logits = {5, 4, 3, 2, 1};
  const std::vector<Ban> bans = {{.tokens = {0}, .until = 2}, {.tokens = {3, 1}}, {.tokens = {7}}};
  for (const float temperature : {0.0f, 0.01f}) {
    Sampler sampler({.temperature = temperature}, nullptr, bans);
    const auto next = [&](const std::vector<Token>& tokens) {
      return sampler.choose(logits, tokens, 1);
    };
    EXPECT_EQ(next({3}), 1) << "0 is banned at first; the prompt is no part of the answer";
    EXPECT_EQ(next({3, 3}), 2) << "1 is banned behind 3";
    EXPECT_EQ(next({3, 3, 2}), 0) << "two tokens have come";
    EXPECT_EQ(next({3, 4}), 1);
    EXPECT_EQ(next({3, 3}), 2) << "whatever answer was looked at before";
  }
  // A form wins where it leaves nothing else.
  const auto only_0 = std::make_shared<ListConstraint>(std::vector<std::vector<Token>>{{0}});
  EXPECT_EQ(Sampler({.temperature = 1}, only_0, bans).choose(logits, std::vector<Token>{3}, 1), 0);
}

TEST(Sampler, AConstraintHoldsWhateverTheLogitsAre) {
  const float nothing = -std::numeric_limits<float>::infinity();
  for (const float bad : {nothing, std::numeric_limits<float>::quiet_NaN()}) {
    std::vector<float> logits(100, 1.0f);
    logits[7] = logits[8] = bad;
    for (const float temperature : {0.0f, 1.0f}) {
      const SamplingOptions options{.temperature = temperature, .logit_bias = {{2, 100.0f}}};
      const auto source = std::make_shared<ListConstraint>(std::vector<std::vector<Token>>{{7, 8}});
      EXPECT_EQ(Sampler(options, source).choose(logits, std::vector<Token>{1}, 1), 7);
    }
  }
}

}  // namespace
}  // namespace tessera
