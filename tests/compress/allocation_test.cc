// The knapsack against all combinations.
#include "compress/allocation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "support/error_of.h"

namespace tessera {
namespace {

using Choices = std::vector<FormatChoice>;
using testing::HasSubstr;

struct Sum {
  uint64_t bytes = 0;
  double cost = 0;
};

Sum sum_of(const std::vector<Choices>& tensors, const std::vector<size_t>& chosen) {
  Sum sum;
  for (size_t t = 0; t < tensors.size(); ++t) {
    sum.bytes += tensors[t].at(chosen[t]).bytes;
    sum.cost += tensors[t].at(chosen[t]).cost;
  }
  return sum;
}

double least_cost(const std::vector<Choices>& tensors, uint64_t budget) {
  double least = std::numeric_limits<double>::infinity();
  std::vector<size_t> chosen(tensors.size());
  for (;;) {
    const Sum sum = sum_of(tensors, chosen);
    if (sum.bytes <= budget) least = std::min(least, sum.cost);
    size_t t = 0;
    while (t < tensors.size() && ++chosen[t] == tensors[t].size()) chosen[t++] = 0;
    if (t == tensors.size()) return least;
  }
}

// Formats of more bytes mostly have less error; tensors differ in size and in weight.
std::vector<Choices> some_tensors(std::mt19937& random, size_t count, uint64_t unit) {
  std::uniform_real_distribution<double> share(0.0, 1.0);
  std::vector<Choices> tensors(count);
  for (Choices& choices : tensors) {
    const auto size = 1 + static_cast<uint64_t>(40 * share(random));
    const double weight = share(random);
    for (uint64_t bits = 2; bits < 7; ++bits) {
      const double cost = weight * (0.5 + share(random)) / static_cast<double>(1 << (2 * bits));
      choices.push_back({size * bits * unit, cost});
    }
  }
  return tensors;
}

TEST(Allocation, IsTheCheapestThatFits) {
  std::mt19937 random(1);
  for (int round = 0; round < 20; ++round) {
    const auto tensors = some_tensors(random, 6, 1);
    const uint64_t least = sum_of(tensors, std::vector<size_t>(6, 0)).bytes;
    const uint64_t most = sum_of(tensors, std::vector<size_t>(6, 4)).bytes;
    for (const uint64_t budget : {least, (2 * least + most) / 3, (least + most) / 2, most}) {
      const Sum sum = sum_of(tensors, allocate(tensors, budget));
      EXPECT_LE(sum.bytes, budget);
      EXPECT_NEAR(sum.cost, least_cost(tensors, budget), 1e-12);
    }
  }
}

// Sizes that have nothing in common, and more bytes than steps.
TEST(Allocation, OfManyBytesIsWithinRoundingOfTheCheapest) {
  std::mt19937 random(2);
  for (int round = 0; round < 5; ++round) {
    auto tensors = some_tensors(random, 6, 1234577);
    for (Choices& choices : tensors) {
      for (FormatChoice& choice : choices) choice.bytes += random() % 1000;
    }
    const uint64_t budget = 2 * sum_of(tensors, std::vector<size_t>(6, 0)).bytes;
    const Sum sum = sum_of(tensors, allocate(tensors, budget));
    EXPECT_LE(sum.bytes, budget);
    EXPECT_LE(sum.cost, least_cost(tensors, budget - budget / 1000));
  }
}

// A model's worth: nothing to speak of is left over.
TEST(Allocation, OfManyTensorsUsesItsBudget) {
  std::mt19937 random(3);
  const auto tensors = some_tensors(random, 300, 98304);
  const uint64_t least = sum_of(tensors, std::vector<size_t>(300, 0)).bytes;
  for (const uint64_t budget : {least + least / 3, 2 * least, 2 * least + least / 2}) {
    const Sum sum = sum_of(tensors, allocate(tensors, budget));
    EXPECT_LE(sum.bytes, budget);
    EXPECT_GT(static_cast<double>(sum.bytes), 0.999 * static_cast<double>(budget));
  }
}

TEST(Allocation, MoreThanAllCanUseGivesEachItsBest) {
  const std::vector<Choices> tensors = {{{10, 3.0}, {20, 1.0}, {30, 2.0}}, {{5, 0.0}}};
  EXPECT_EQ(allocate(tensors, 1'000'000), (std::vector<size_t>{1, 0}));
  EXPECT_EQ(allocate(tensors, 15), (std::vector<size_t>{0, 0}));
  EXPECT_THAT(error_of([&] { allocate(tensors, 14); }), HasSubstr("the smallest formats take 15"));
}

}  // namespace
}  // namespace tessera
