// Drafting costs at most what it may, whatever drafters say and whatever becomes of it: on a
// simulated clock.
#include "decode/draft_budget.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <random>
#include <vector>

namespace tessera {
namespace {

constexpr double kOneRow = 0.020;  // seconds

double true_seconds(int rows) {
  return kOneRow * (1 + 0.08 * (rows - 1));
}

TEST(StepCost, KnowsNothingBeforeAStepRan) {
  EXPECT_EQ(StepCost().seconds(1), 0);
  EXPECT_EQ(StepCost().seconds(100), 0);
}

TEST(StepCost, LearnsTheTimesOfStepsThroughNoise) {
  StepCost cost;
  std::mt19937 random(1);
  std::uniform_real_distribution<double> noise(0.9, 1.1);
  for (int i = 0; i < 2000; ++i) {
    const int rows = 1 + static_cast<int>(random() % 40);
    const double disturbance = random() % 50 == 0 ? 20 : 1;
    cost.observe(rows, true_seconds(rows) * noise(random) * disturbance);
  }
  for (const int rows : {1, 2, 5, 8, 13, 30, 40})
    EXPECT_NEAR(cost.seconds(rows) / true_seconds(rows), 1, 0.15) << rows;
}

TEST(StepCost, FollowsAMachineThatTurnsSlower) {
  StepCost cost;
  for (int i = 0; i < 300; ++i) cost.observe(i % 2 == 0 ? 1 : 8, true_seconds(i % 2 == 0 ? 1 : 8));
  for (int i = 0; i < 300; ++i) cost.observe(8, 2 * true_seconds(8));
  EXPECT_NEAR(cost.seconds(8) / true_seconds(8), 2, 0.2);
  EXPECT_GT(cost.seconds(1) / true_seconds(1), 1.3) << "although no step of one row was seen";
}

// A number of rows that is seen for the first few times, at noisy times, says nothing of the
// others.
TEST(StepCost, WhatBecomesKnownMovesNothingElse) {
  StepCost cost;
  for (int i = 0; i < 30; ++i) cost.observe(1, 0.010);
  for (const double seconds : {0.020, 0.026, 0.028, 0.026, 0.025}) cost.observe(32, seconds);
  EXPECT_NEAR(cost.seconds(1), 0.010, 0.0003);
}

TEST(StepCost, NeverFallsWithMoreRows) {
  StepCost cost;
  std::mt19937 random(2);
  for (int i = 0; i < 500; ++i)
    cost.observe(1 + static_cast<int>(random() % 600), 1e-3 * (1 + random() % 50));
  for (int rows = 1; rows < 1500; ++rows) EXPECT_LE(cost.seconds(rows), cost.seconds(rows + 1));
}

// What a drafter does: chances that it claims in this step, and how many of the nodes that run are
// accepted.
struct Adversary {
  std::function<std::vector<double>(int step)> claims;
  std::function<int(int step, int drafted)> accepted;
};

struct Simulation {
  double seconds = 0, plain_seconds = 0;
  int drafted = 0;
};

// Steps of `answers` texts; time is `true_seconds`, noise on top.
Simulation simulate(const Adversary& adversary, int answers, double overhead, int steps = 3000) {
  StepCost cost;
  DraftBudget budget(0.01);
  std::mt19937 random(7);
  std::uniform_real_distribution<double> noise(0.97, 1.03);
  Simulation result;
  for (int step = 0; step < steps; ++step) {
    const StepPlan plan{.cost = cost, .rows = answers, .answers = answers};
    int drafted = 0;
    double spent = 0;
    if (budget.is_open(plan)) {
      auto chances = adversary.claims(step);
      std::ranges::sort(chances, std::greater());
      drafted = budget.worth(plan, chances);
      spent = overhead;
    }
    const int accepted = std::min(drafted, adversary.accepted(step, drafted));
    const double seconds = true_seconds(answers + drafted) * noise(random);
    cost.observe(answers + drafted, seconds);
    budget.settle(plan, drafted, accepted, seconds, spent);
    result.seconds += seconds + spent;
    result.plain_seconds += true_seconds(answers) * (1 + static_cast<double>(accepted) / answers);
    result.drafted += drafted;
  }
  return result;
}

std::vector<double> sure(int) {
  return std::vector<double>(16, 0.95);
}

class Bounded : public testing::TestWithParam<int> {};

TEST_P(Bounded, WhateverIsClaimedAndAccepted) {
  std::mt19937 random(3);
  const Adversary adversaries[] = {
      {sure, [](int, int) { return 0; }},                                  // always wrong
      {sure, [&](int, int) { return static_cast<int>(random() % 2); }},    // nearly always
      {sure, [](int step, int) { return step < 500 ? 16 : 0; }},           // right, then never
      {sure, [](int step, int) { return step / 100 % 2 == 0 ? 16 : 0; }},  // by turns
      {sure, [](int step, int) { return step % 2 == 0 ? 1 : 0; }},
      {[&](int) {
         std::vector<double> chances(random() % 64);
         for (double& chance : chances) chance = random() % 1000 / 1000.0;
         return chances;
       },
       [&](int, int drafted) { return static_cast<int>(random() % 8 == 0 ? drafted : 0); }}};
  for (const Adversary& adversary : adversaries) {
    for (const double overhead : {0.0, 0.0001}) {
      const Simulation s = simulate(adversary, GetParam(), overhead);
      // What one step loses before it is known, and what the noise of the times hides.
      EXPECT_LT(s.seconds, 1.012 * s.plain_seconds + 2 * true_seconds(GetParam() + 64))
          << &adversary - adversaries;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Answers, Bounded, testing::Values(1, 4, 16, 64));

TEST(DraftBudget, WhatIsRightSavesTime) {
  const Simulation s = simulate({sure, [](int, int drafted) { return drafted; }}, 1, 0);
  EXPECT_LT(s.seconds, 0.25 * s.plain_seconds);
}

TEST(DraftBudget, DraftsNothingThatDoesNotPay) {
  const auto unlikely = [](int) { return std::vector<double>(8, 0.05); };
  EXPECT_EQ(simulate({unlikely, [](int, int) { return 0; }}, 1, 0).drafted, 0);
}

}  // namespace
}  // namespace tessera
