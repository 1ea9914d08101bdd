#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cmath>
#include <memory>
#include <vector>

#include "decode/verify.h"

namespace tessera {
namespace {

constexpr int kVocabulary = 8;

// Logits whose greedy token of each row is given.
struct Rows {
  explicit Rows(const std::vector<Token>& greedy) : values(greedy.size() * kVocabulary) {
    for (size_t r = 0; r < greedy.size(); ++r) values[r * kVocabulary + greedy[r]] = 1;
  }
  HostRows tensor() {
    return {values.data(), static_cast<int>(values.size()) / kVocabulary, kVocabulary, kVocabulary};
  }
  std::vector<float> values;
};

TEST(Verify, OneNodeGivesOneToken) {
  Rows rows({3});
  Sampler sampler({.temperature = 0});
  const Verified verified =
      verify({.tokens = {1}, .parents = {-1}}, rows.tensor(), sampler, std::vector<Token>{1}, 1);
  EXPECT_EQ(verified.tokens, (std::vector<Token>{3}));
  EXPECT_EQ(verified.path, (std::vector<int32_t>{0}));
}

TEST(Verify, AcceptsTheLongestPathTheModelWouldHaveTaken) {
  // 0 -> {1: token 3 -> {3: token 5}, 2: token 4 -> {4: token 6 -> {5: token 7}}}
  const TokenTree tree{.tokens = {1, 3, 4, 5, 6, 7}, .parents = {-1, 0, 0, 1, 2, 4}};
  Rows rows(
      {4, 0, 6, 0, 2, 0});  // after the root 4, after that 6, after that 2, which nobody drafted
  Sampler sampler({.temperature = 0});
  const Verified verified = verify(tree, rows.tensor(), sampler, std::vector<Token>{1}, 1);
  EXPECT_EQ(verified.tokens, (std::vector<Token>{4, 6, 2}));
  EXPECT_EQ(verified.path, (std::vector<int32_t>{0, 2, 4}));
}

// The rule is no approximation: over many seeds, the tokens of a tree's paths come as often as the
// softmax says, whatever was drafted (chi-squared, 7 degrees of freedom: 29.9 has a chance of
// 1e-4).
TEST(Verify, TokensHaveTheModelsDistribution) {
  constexpr int kSeeds = 40'000;
  constexpr double kMost = 29.9;
  for (const float temperature : {0.3F, 0.8F, 1.2F}) {
    for (const TokenTree& tree : {TokenTree{.tokens = {1}, .parents = {-1}},
                                  TokenTree{.tokens = {1, 3, 6}, .parents = {-1, 0, 0}}}) {
      Rows rows(std::vector<Token>(static_cast<size_t>(tree.size())));
      for (size_t i = 0; i < rows.values.size(); ++i)
        rows.values[i] = static_cast<float>((i * 7 + i / kVocabulary * 3) % 11) * 0.3F;
      // By the node behind which they came.
      std::vector<std::array<int, kVocabulary>> counts(static_cast<size_t>(tree.size()));
      for (int seed = 0; seed < kSeeds; ++seed) {
        SamplingOptions options{.temperature = temperature, .top_k = 0, .top_p = 1, .min_p = 0};
        options.seed = static_cast<uint64_t>(seed);
        Sampler sampler(options);
        const auto verified = verify(tree, rows.tensor(), sampler, std::vector<Token>{1}, 1);
        for (size_t i = 0; i < verified.tokens.size(); ++i)
          ++counts[static_cast<size_t>(verified.path[i])][static_cast<size_t>(verified.tokens[i])];
      }
      for (int node = 0; node < tree.size(); ++node) {
        const auto row = rows.tensor().row(node);
        double mass = 0, all = 0, distance = 0;
        for (const float logit : row) mass += std::exp(logit / temperature);
        for (const int count : counts[static_cast<size_t>(node)]) all += count;
        for (size_t token = 0; token < kVocabulary; ++token) {
          const double expected = all * std::exp(row[token] / temperature) / mass;
          const double off = counts[static_cast<size_t>(node)][token] - expected;
          distance += off * off / expected;
        }
        EXPECT_GT(all, 100) << node;
        EXPECT_LT(distance, kMost) << "T " << temperature << ", node " << node;
      }
    }
  }
}

// Takes long at the third token.
class SlowAtTwo final : public Constraint, public ConstraintSource {
 public:
  std::unique_ptr<Constraint> start() const override { return std::make_unique<SlowAtTwo>(); }
  bool prepare(Deadline deadline) override { return count_ != 2 || !deadline.exists(); }
  std::span<const uint64_t> allowed() override { return all_; }
  bool complete() override { return true; }
  void accept(Token) override { ++count_; }

 private:
  int count_ = 0;
  std::vector<uint64_t> all_{~uint64_t{0}};
};

TEST(Verify, GoesNoFurtherThanTheConstraintIsKnown) {
  const TokenTree tree{.tokens = {1, 3, 4, 5}, .parents = {-1, 0, 1, 2}};
  Rows rows({3, 4, 5, 6});
  const std::vector<Token> prompt{1};
  for (const bool hurried : {false, true}) {
    Sampler sampler({.temperature = 0}, std::make_shared<SlowAtTwo>());
    const Deadline deadline = hurried ? Deadline::in(std::chrono::hours(1)) : Deadline();
    Verified verified = verify(tree, rows.tensor(), sampler, prompt, 1, deadline);
    EXPECT_EQ(verified.tokens,
              hurried ? std::vector<Token>({3, 4}) : std::vector<Token>({3, 4, 5, 6}));
    EXPECT_EQ(verified.path.size(), verified.tokens.size());
    EXPECT_EQ(verified.next_is_known, !hurried);
    if (!hurried) continue;
    verified = verify({.tokens = {4}, .parents = {-1}}, rows.tensor(), sampler,
                      std::vector<Token>{1, 3, 4}, 1, deadline);
    EXPECT_TRUE(verified.tokens.empty());
    EXPECT_FALSE(verified.next_is_known);
  }
}

}  // namespace
}  // namespace tessera
