#include "decode/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>
#include <set>

#include "base/error.h"
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

}  // namespace
}  // namespace tessera
