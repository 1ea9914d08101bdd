// Weights that become zero while a model learns, and zeros that stay.
#include "train/gradual_pruning.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "files/open.h"
#include "support/temp_folder.h"
#include "support/tiny_model.h"
#include "train/network.h"
#include "train/training.h"
#include "train/whole.h"

namespace tessera::train {
namespace {

namespace fs = std::filesystem;

// Zhu & Gupta 2017, equation 1.
TEST(PruningScheduleTest, RisesFastFirst) {
  const PruningSchedule schedule{.share = 0.8, .from = 10, .to = 30};
  EXPECT_EQ(schedule.share_at(9), 0);
  EXPECT_EQ(schedule.share_at(10), 0);
  EXPECT_DOUBLE_EQ(schedule.share_at(20), 0.8 * (1 - 0.125));
  EXPECT_DOUBLE_EQ(schedule.share_at(25), 0.8 * (1 - 0.015625));
  EXPECT_EQ(schedule.share_at(30), 0.8);
  EXPECT_EQ(schedule.share_at(1000), 0.8);
  EXPECT_FALSE(schedule.prunes_at(9));
  EXPECT_TRUE(schedule.prunes_at(10));
  EXPECT_TRUE(schedule.prunes_at(30));
  EXPECT_FALSE(schedule.prunes_at(31));
  const PruningSchedule long_one{.share = 0.5, .from = 0, .to = 950};
  int times = 0;
  for (int step = 0; step < 2000; ++step) times += long_one.prunes_at(step) ? 1 : 0;
  EXPECT_EQ(times, 96);  // each tenth step, and the last
  const PruningSchedule at_once{.share = 0.5, .from = 3, .to = 3};
  EXPECT_EQ(at_once.share_at(3), 0.5);
  EXPECT_TRUE(at_once.prunes_at(3));
}

Parameter counting() {
  Parameter parameter("counting", 2, 8);
  for (size_t i = 0; i < 16; ++i)
    parameter.values[i] = static_cast<float>(i + 1) * (i % 2 == 0 ? 1.0f : -1.0f);
  return parameter;
}

std::vector<float> pruned(const Sparsity& sparsity) {
  ThreadPool pool(2);
  Parameter parameter = counting();
  GradualPruning({&parameter}, sparsity, 0, 0, pool).before_step(0);
  return parameter.values;
}

TEST(GradualPruningTest, TakesTheSmallestOfWhatTheScopeSays) {
  EXPECT_THAT(pruned({.share = 0.5}),
              testing::ElementsAre(0, 0, 0, 0, 5, -6, 7, -8, 0, 0, 0, 0, 13, -14, 15, -16));
  EXPECT_THAT(pruned({.share = 0.5, .group = 4}),
              testing::ElementsAre(0, 0, 3, -4, 0, 0, 7, -8, 0, 0, 11, -12, 0, 0, 15, -16));
  for (const SparsityScope scope : {SparsityScope::kLayer, SparsityScope::kGlobal}) {
    EXPECT_THAT(pruned({.share = 0.25, .scope = scope}),
                testing::ElementsAre(0, 0, 0, 0, 5, -6, 7, -8, 9, -10, 11, -12, 13, -14, 15, -16));
  }
}

TEST(GradualPruningTest, AKeptZeroHasNoGradientAndNoMomentum) {
  ThreadPool pool(2);
  Parameter parameter = counting();
  AdamW adamw({&parameter}, {.decay = 0.1});
  std::ranges::fill(parameter.gradient, 1.0f);
  adamw.step(pool, 0.1);  // moments that would move all
  GradualPruning({&parameter}, {.share = 0.5}, 0, 0, pool).before_step(0);
  std::ranges::fill(parameter.gradient, 1.0f);
  std::vector<Parameter*> all = {&parameter};
  keep_zeros(all, pool);
  EXPECT_DOUBLE_EQ(clip(pool, all, 0), std::sqrt(8.0));
  adamw.step(pool, 0.1);
  EXPECT_EQ(std::ranges::count(parameter.values, 0.0f), 8);
  for (const std::span<const std::byte> moment : adamw.memory(0)) {
    for (size_t i = 0; i < 16; ++i) {
      float value = 0;
      std::memcpy(&value, moment.data() + i * sizeof value, sizeof value);
      EXPECT_EQ(value == 0, parameter.values[i] == 0) << i;
    }
  }
}

// A whole training that prunes, and sees all on a grid.
class PruningTrainingTest : public testing::Test {
 protected:
  PruningTrainingTest() {
    std::vector<Example> examples;
    for (Token i = 0; i < 12; ++i) {
      std::vector<Token> text;
      for (Token k = 0; k < 9; ++k) text.push_back(20 + (i + 3 * k) % 7);
      examples.push_back(plain_example(text));
    }
    data_ = hold_out(std::move(examples), 0);
  }
  // Stops behind each of `stops` and goes on from the file.
  std::vector<std::vector<float>> train(int threads, const std::vector<int>& stops,
                                        const Sparsity& sparsity) {
    const fs::path state = folder_ / "state";
    ThreadPool pool(threads);
    for (size_t i = 0;; ++i) {
      Learned learned = make_whole(*model_);
      set_grids(*model_, plan_whole(*model_, require_recipe("Q4_0"), false), learned);
      GradualPruning pruning(pruned_parameters(learned), sparsity, 1, 5, pool);
      Network network(model_, pool, 20, learned);
      TrainingOptions options;
      options.schedule = {.rate = 0.002, .steps = kSteps, .warmup = 1};
      options.batch = 5;
      options.before_step = [&](int step) { pruning.before_step(step); };
      Training training(network, pool, learned, data_, 20, options, "a test");
      if (i > 0) training.load(state);
      const int stop = i < stops.size() ? stops[i] : kSteps;
      training.run(state, [&](int step, double, int) { return step != stop; });
      if (!training.is_done()) continue;
      losses_ = training.curve().learned;
      zeros_ = share_of_zeros(pruned_parameters(learned));
      std::vector<std::vector<float>> values;
      for (const Parameter* parameter : learned.parameters()) values.push_back(parameter->values);
      return values;
    }
  }

  static constexpr int kSteps = 8;
  const test::TempFolder folder_;
  const std::shared_ptr<const Checkpoint> model_ =
      open_checkpoint(write_tiny_model({.layers = 2}, folder_.path()));
  Data data_;
  std::vector<float> losses_;
  double zeros_ = 0;
};

TEST_F(PruningTrainingTest, LearnsTheSameWithAnyThreadsAndBehindStops) {
  for (const Sparsity& sparsity :
       {Sparsity{.share = 0.5}, Sparsity{.share = 0.6, .scope = SparsityScope::kGlobal}}) {
    const auto whole = train(1, {}, sparsity);
    EXPECT_NEAR(zeros_, sparsity.share, 1e-3);
    EXPECT_LT(losses_.back(), losses_.front());
    EXPECT_EQ(train(3, {}, sparsity), whole);
    EXPECT_EQ(train(2, {1, 3, 6}, sparsity), whole);
  }
}

}  // namespace
}  // namespace tessera::train
