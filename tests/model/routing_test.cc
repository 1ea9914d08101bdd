// Which experts a row visits, and what each counts.
#include "model/layers/routing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace tessera {
namespace {

using testing::ElementsAre;

std::vector<ChosenExpert> choose(const Routing& routing, std::vector<float> scores, size_t used,
                                 std::vector<float> correction = {}) {
  std::vector<ChosenExpert> chosen(used);
  choose_experts(routing, scores, correction, chosen);
  return chosen;
}
std::vector<int> numbers(const std::vector<ChosenExpert>& chosen) {
  std::vector<int> result;
  for (const ChosenExpert& one : chosen) result.push_back(one.expert);
  return result;
}

TEST(RoutingTest, SoftmaxIsOverAllExperts) {
  const auto chosen = choose({}, {0, std::log(3.0f), 0, std::log(5.0f)}, 2);
  EXPECT_THAT(numbers(chosen), ElementsAre(3, 1));
  EXPECT_FLOAT_EQ(chosen[0].weight, 0.5f);
  EXPECT_FLOAT_EQ(chosen[1].weight, 0.3f);
}

TEST(RoutingTest, NormalizedWeightsAddUpToTheScale) {
  const auto chosen =
      choose({.normalize = true, .scale = 2.5f}, {0, std::log(3.0f), 0, std::log(5.0f)}, 2);
  EXPECT_FLOAT_EQ(chosen[0].weight, 2.5f * 5 / 8);
  EXPECT_FLOAT_EQ(chosen[1].weight, 2.5f * 3 / 8);
}

TEST(RoutingTest, OfTheChosenAloneLowScoresDoNotMatter) {
  const Routing routing{.gating = Gating::kSoftmaxOfChosen};
  for (const float rest : {-1.0f, 0.0f}) {
    const auto chosen = choose(routing, {std::log(4.0f), rest, std::log(12.0f), rest}, 2);
    EXPECT_THAT(numbers(chosen), ElementsAre(2, 0));
    EXPECT_FLOAT_EQ(chosen[0].weight, 0.75f);
    EXPECT_FLOAT_EQ(chosen[1].weight, 0.25f);
  }
}

TEST(RoutingTest, ACorrectionChoosesAndDoesNotWeigh) {
  const Routing routing{.gating = Gating::kSigmoid};
  const auto chosen = choose(routing, {0, 1, 2}, 1, {1, 0, 0});
  EXPECT_THAT(numbers(chosen), ElementsAre(0));
  EXPECT_FLOAT_EQ(chosen[0].weight, 0.5f);
}

TEST(RoutingTest, OnlyTheBestGroupsMayBeChosen) {
  // The best single expert is in the group whose best two are worth less.
  const Routing routing{.gating = Gating::kSigmoid, .groups = 2, .groups_used = 1};
  EXPECT_THAT(numbers(choose(routing, {3, -9, -9, 1, 1, 0}, 2)), ElementsAre(3, 4));
}

// DeepSeek-V2's groups, whose scores are probabilities.
TEST(RoutingTest, AGroupOfProbabilitiesIsAsGoodAsItsBestExpert) {
  const Routing routing{.gating = Gating::kSoftmax, .groups = 2, .groups_used = 1};
  EXPECT_THAT(numbers(choose(routing, {3, -9, -9, 2.9f, 2.9f, 0}, 2)), ElementsAre(0, 1));
}

TEST(RoutingTest, OfEqualScoresTheFirstIsBetter) {
  EXPECT_THAT(numbers(choose({}, {1, 2, 2, 1, 2}, 4)), ElementsAre(1, 2, 4, 0));
}

TEST(RoutingTest, ScoresThatAreNoNumbersAreChosenLastAndShow) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(numbers(choose({}, {nan, 1, nan, 0}, 3)), ElementsAre(1, 3, 0));
  EXPECT_TRUE(std::isnan(choose({}, {nan, 1, 0}, 1)[0].weight));
  const float infinite = std::numeric_limits<float>::infinity();
  EXPECT_THAT(numbers(choose({}, {0, infinite, 1}, 1)), ElementsAre(1));
  EXPECT_TRUE(std::isnan(choose({}, {0, infinite, 1}, 1)[0].weight));
  const Routing sigmoid{.gating = Gating::kSigmoid};
  EXPECT_THAT(numbers(choose(sigmoid, {0, 1, 2}, 3, {0, nan, 0})), ElementsAre(2, 0, 1));
}

TEST(RoutingTest, RowsAreSortedByExpertAndFoundAgain) {
  // Three rows of two choices among four experts.
  const std::vector<ChosenExpert> chosen = {{2, 0}, {0, 0}, {3, 0}, {2, 0}, {0, 0}, {2, 0}};
  const ExpertRows sorted = sort_by_expert(chosen, 2, 4);
  EXPECT_THAT(sorted.first, ElementsAre(0, 2, 2, 5, 6));
  EXPECT_THAT(sorted.rows, ElementsAre(0, 2, 0, 1, 2, 1));
  EXPECT_THAT(sorted.places, ElementsAre(2, 0, 5, 3, 1, 4));
}

}  // namespace
}  // namespace tessera
