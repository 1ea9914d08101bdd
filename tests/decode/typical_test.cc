#include "decode/typical.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "decode/verify.h"

namespace tessera {
namespace {

using testing::ElementsAre;

// Rows of given probabilities at temperature 1.
struct Rows {
  explicit Rows(const std::vector<std::vector<double>>& rows) : columns(rows[0].size()) {
    for (const auto& row : rows) {
      for (const double p : row) values.push_back(static_cast<float>(std::log(p)));
    }
  }
  HostRows tensor() const {
    const int c = static_cast<int>(columns);
    return {values.data(), static_cast<int>(values.size()) / c, c, c};
  }
  size_t columns;
  std::vector<float> values;
};

Sampler sampler(float temperature) {
  SamplingOptions options{.temperature = temperature, .top_k = 0, .top_p = 1, .min_p = 0};
  options.seed = 1;
  return Sampler(options);
}

const std::vector<Token> kText = {0};
constexpr TypicalAcceptance kRule{.epsilon = 0.09, .delta = 0.3};

// With half of the mass on one token, exp(-entropy) is .25: what is above .075 is typical.
TEST(Typical, TakesWhatIsLikelyEnough) {
  const std::vector<double> row = {0.5, 0.2, 0.2, 0.05, 0.05};
  double entropy = 0;
  for (const double p : row) entropy -= p * std::log(p);
  ASSERT_LT(0.3 * std::exp(-entropy), 0.2);
  ASSERT_GT(0.3 * std::exp(-entropy), 0.05);
  const Rows rows({row, row, row});
  Sampler s = sampler(1);
  const TokenTree likely{.tokens = {0, 2}, .parents = {-1, 0}};
  EXPECT_THAT(typical_path(likely, rows.tensor(), s, kText, 1, kRule, {}), ElementsAre(0, 1));
  const TokenTree unlikely{.tokens = {0, 3}, .parents = {-1, 0}};
  EXPECT_THAT(typical_path(unlikely, rows.tensor(), s, kText, 1, kRule, {}), ElementsAre(0));
}

TEST(Typical, WhereMuchIsPossibleLessIsAskedFor) {
  const std::vector<double> flat(100, 0.01);  // exp(-entropy) is .01
  const Rows rows({flat, flat});
  Sampler s = sampler(1);
  const TokenTree tree{.tokens = {0, 42}, .parents = {-1, 0}};
  EXPECT_THAT(typical_path(tree, rows.tensor(), s, kText, 1, kRule, {}), ElementsAre(0, 1));
}

TEST(Typical, TheLongestPathWinsThenTheLikeliest) {
  const std::vector<double> row = {0.4, 0.3, 0.3};
  const Rows rows(std::vector<std::vector<double>>(6, row));
  Sampler s = sampler(1);
  // 0 -> {1: token 0, 2: token 1 -> {3: token 2, 4: token 0}}
  const TokenTree tree{.tokens = {0, 0, 1, 2, 0}, .parents = {-1, 0, 0, 2, 2}};
  EXPECT_THAT(typical_path(tree, rows.tensor(), s, kText, 1, kRule, {}), ElementsAre(0, 2, 4));
  const Verified verified = verify(tree, rows.tensor(), s, kText, 1, {}, kRule);
  EXPECT_THAT(verified.path, ElementsAre(0, 2, 4));
  ASSERT_EQ(verified.tokens.size(), 3u) << "and one that the sampler draws behind them";
  EXPECT_EQ(verified.tokens[0], 1);
  EXPECT_EQ(verified.tokens[1], 0);
}

// At temperature 0, and where nobody asks for it, nothing changes.
TEST(Typical, IsOffUnlessAskedFor) {
  const Rows rows({{0.4, 0.3, 0.3}, {0.4, 0.3, 0.3}});
  const TokenTree tree{.tokens = {0, 1}, .parents = {-1, 0}};
  Sampler greedy = sampler(0);
  EXPECT_THAT(verify(tree, rows.tensor(), greedy, kText, 1, {}, kRule).tokens, ElementsAre(0));
  for (int seed = 0; seed < 50; ++seed) {
    SamplingOptions options{.temperature = 1, .top_k = 0, .top_p = 1, .min_p = 0};
    options.seed = static_cast<uint64_t>(seed);
    Sampler plain(options), other(options);
    const Token first = plain.choose(rows.tensor().row(0), kText, 1);
    EXPECT_EQ(verify(tree, rows.tensor(), other, kText, 1).tokens[0], first);
  }
}

}  // namespace
}  // namespace tessera
