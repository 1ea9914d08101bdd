// Trainings: the optimizer's steps against torch's, the same bits for any number of threads and
// behind a stop, and what is said of one that fails.
#include "train/training.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "decoded.h"
#include "files/open.h"
#include "files/open_adapter.h"
#include "files/save_adapter.h"
#include "paths.h"
#include "support/error_of.h"
#include "support/temp_folder.h"
#include "support/tiny_model.h"
#include "train/lora.h"
#include "train/loss_picture.h"
#include "train/network.h"
#include "train/whole.h"

namespace tessera::train {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// tests/tools/make_training_goldens.py: the losses of two hundred steps are torch's, at each within
// a share.
void expect_torchs_losses(bool eight_bits, double share) {
  constexpr int kSteps = 200, kBatch = 4;
  const json golden = json::parse(std::ifstream(fs::path(TESSERA_TEST_DATA) / "training.json"));
  const auto model = open_checkpoint(fs::path(TESSERA_TEST_DATA) / "folders/qwen3");
  std::vector<Example> examples;
  for (const json& text : golden["texts"])
    examples.push_back(plain_example(text.get<std::vector<Token>>()));
  int rows = 0;
  for (int i = 0; i < kBatch; ++i) rows += examples[static_cast<size_t>(i)].rows();

  ThreadPool pool(2);
  Learned learned = make_whole(*model);
  Network network(model, pool, rows, learned);
  AdamW adamw(
      learned.parameters(),
      {.beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-8, .decay = 0.1, .eight_bits = eight_bits});
  const Schedule schedule{
      .rate = 0.002, .steps = kSteps, .warmup = 10, .decline = Decline::kCosine};
  for (int step = 0; step < kSteps; ++step) {
    const auto batch =
        std::span(examples).subspan(static_cast<size_t>(step * kBatch) % examples.size(), kBatch);
    const double loss = network.differentiate(batch, 1.0f / static_cast<float>(rows)) / rows;
    const double expected = golden["losses"][static_cast<size_t>(step)].get<double>();
    ASSERT_NEAR(loss / expected, 1, share) << "step " << step;
    clip(pool, learned.parameters(), 1);
    adamw.step(pool, schedule.rate_at(step));
  }
}

TEST(TrainingTest, LossesAreTorchsForTwoHundredSteps) {
  expect_torchs_losses(false, 0.01);
}

TEST(TrainingTest, MomentsOfEightBitsLoseLittle) {
  expect_torchs_losses(true, 0.03);
}

TEST(ScheduleTest, RisesAndDeclines) {
  const Schedule cosine{.rate = 1, .steps = 10, .warmup = 4, .decline = Decline::kCosine};
  EXPECT_DOUBLE_EQ(cosine.rate_at(0), 0.2);
  EXPECT_DOUBLE_EQ(cosine.rate_at(3), 0.8);
  EXPECT_DOUBLE_EQ(cosine.rate_at(4), 1);
  EXPECT_DOUBLE_EQ(cosine.rate_at(7), 0.5);
  const Schedule linear{.rate = 2, .steps = 10, .warmup = 0, .decline = Decline::kLinear};
  EXPECT_DOUBLE_EQ(linear.rate_at(5), 1);
  const Schedule constant{.rate = 3, .steps = 10, .warmup = 1, .decline = Decline::kNone};
  EXPECT_DOUBLE_EQ(constant.rate_at(9), 3);
  EXPECT_EQ(error_of([] { parse_decline("steep"); }),
            "schedule 'steep' is not known, expected none, linear or cosine");
}

TEST(ClipTest, ShortensTheWholeGradient) {
  ThreadPool pool(2);
  Parameter a("a", 1, 2), b("b", 1, 1);
  a.gradient = {2, 3};
  b.gradient = {6};
  const std::vector<Parameter*> both = {&a, &b};
  EXPECT_DOUBLE_EQ(clip(pool, both, 0), 7);
  EXPECT_DOUBLE_EQ(clip(pool, both, 10), 7);
  EXPECT_EQ(a.gradient, (std::vector<float>{2, 3}));
  EXPECT_DOUBLE_EQ(clip(pool, both, 3.5), 7);
  EXPECT_EQ(a.gradient, (std::vector<float>{1, 1.5f}));
  EXPECT_EQ(b.gradient, (std::vector<float>{3}));
}

// A small training of an adapter on a quantized model.
class LoraTrainingTest : public testing::Test {
 protected:
  LoraTrainingTest() {
    std::vector<Example> examples;
    for (Token i = 0; i < 12; ++i) {
      std::vector<Token> text;
      for (Token k = 0; k < 9; ++k) text.push_back(20 + (i + 3 * k) % 7);
      examples.push_back(plain_example(text));
    }
    data_ = hold_out(std::move(examples), 0.25);
  }

  struct Result {
    std::vector<std::vector<float>> values;
    LossCurve curve;
  };
  // Stops behind each of `stops` and goes on from the file.
  Result train(int threads, const std::vector<int>& stops, double rate = 0.02) {
    const fs::path state = folder_ / "state";
    ThreadPool pool(threads);
    for (size_t i = 0;; ++i) {
      Learned learned = make_lora(*model_, {.rank = 2, .alpha = 4});
      Network network(model_, pool, 20, learned);
      Training training(network, pool, learned, data_, 20, options(rate), "a test");
      if (i > 0) training.load(state);
      const int stop = i < stops.size() ? stops[i] : kSteps;
      training.run(state, [&](int step, double, int) { return step != stop; });
      if (!training.is_done()) continue;
      Result result{{}, training.curve()};
      for (const Parameter* parameter : learned.parameters())
        result.values.push_back(parameter->values);
      return result;
    }
  }
  static TrainingOptions options(double rate) {
    TrainingOptions options;
    options.schedule = {.rate = rate, .steps = kSteps, .warmup = 1};
    options.batch = 5;
    options.evaluate_every = 3;
    options.save_every = 4;
    return options;
  }

  static constexpr int kSteps = 7;
  const test::TempFolder folder_;
  const std::shared_ptr<const Checkpoint> model_ =
      open_checkpoint(write_tiny_model({.format = &kQ4_0, .layers = 2}, folder_.path()));
  Data data_;
};

void expect_same(const LossCurve& a, const LossCurve& b) {
  EXPECT_EQ(a.learned, b.learned);
  ASSERT_EQ(a.held_out.size(), b.held_out.size());
  for (size_t i = 0; i < a.held_out.size(); ++i) {
    EXPECT_EQ(a.held_out[i].step, b.held_out[i].step);
    EXPECT_EQ(a.held_out[i].loss, b.held_out[i].loss);
  }
}

TEST_F(LoraTrainingTest, LearnsTheSameWithAnyThreadsAndBehindStops) {
  const Result whole = train(1, {});
  ASSERT_EQ(whole.curve.learned.size(), 7u);
  EXPECT_LT(whole.curve.learned.back(), 0.9f * whole.curve.learned.front());
  ASSERT_EQ(whole.curve.held_out.size(), 4u);  // before, behind 3 and 6, at the end
  EXPECT_LT(whole.curve.held_out.back().loss, whole.curve.held_out.front().loss);
  for (const auto& [threads, stops] :
       {std::pair(3, std::vector<int>{}), std::pair(2, std::vector<int>{1, 4, 6})}) {
    const Result other = train(threads, stops);
    EXPECT_EQ(whole.values, other.values);
    expect_same(whole.curve, other.curve);
  }
  const std::string picture = draw_losses(whole.curve, "a test");
  EXPECT_THAT(picture, testing::AllOf(testing::HasSubstr("<svg"), testing::HasSubstr("held out")));
}

TEST_F(LoraTrainingTest, TheAdapterInAFileIsTheOneThatWasLearned) {
  ThreadPool pool(1);
  Learned learned = make_lora(*model_, {.rank = 2, .alpha = 4});
  for (auto& entry : learned.low_rank) {
    float value = 0;
    for (float& b : entry.second.up.values) b = value += 0.125f;
  }
  for (const char* name : {"adapter.gguf", "adapter"}) {
    save_adapter(stored_adapter(learned), *model_, folder_ / name);
    const StoredAdapter opened = open_adapter(folder_ / name, *model_);
    EXPECT_EQ(opened.matrices.size(), learned.low_rank.size());
    for (const auto& [place, pair] : learned.low_rank) {
      const StoredLowRank* found = opened.find(place);
      ASSERT_NE(found, nullptr) << name;
      EXPECT_EQ(decoded(found->down), pair.down.values);
      EXPECT_EQ(decoded(found->up), pair.up.values);
      EXPECT_EQ(found->scale, 2.0f);
    }
  }
}

TEST_F(LoraTrainingTest, ALossThatIsNoNumberStopsAndKeepsTheState) {
  // Weights of 1e30 make products that no float holds.
  ThreadPool pool(1);
  Learned learned = make_lora(*model_, {.rank = 2, .alpha = 4});
  Network network(model_, pool, 20, learned);
  Training training(network, pool, learned, data_, 20, options(0.02), "a test");
  const fs::path state = folder_ / "state";
  const std::string error = error_of([&] {
    training.run(state, [&](int step, double, int) {
      if (step == 5) {
        for (Parameter* parameter : learned.parameters())
          std::ranges::fill(parameter->values, 1e30f);
      }
      return true;
    });
  });
  EXPECT_EQ(error,
            "step 6: the loss is no number; a lower rate than 0.02 may help; the state of "
            "step 4 is in '" +
                state.string() + "'");
  training.load(state);
  EXPECT_EQ(training.step(), 4);
}

TEST_F(LoraTrainingTest, RefusesAFolderForMatricesThatHaveNoNameInOne) {
  Learned learned = make_lora(*model_, {.rank = 2, .alpha = 4});
  StoredAdapter adapter = stored_adapter(learned);
  EXPECT_NO_THROW(check_adapter(adapter, *model_, folder_ / "adapter"));
  adapter.matrices[0].down.place.role = TensorRole::kMedusaBlock;
  EXPECT_NO_THROW(check_adapter(adapter, *model_, folder_ / "adapter.gguf"));
  const auto refusal = testing::HasSubstr("has no name in folders of llama models");
  EXPECT_THAT(error_of([&] { check_adapter(adapter, *model_, folder_ / "adapter"); }), refusal);
  EXPECT_THAT(error_of([&] { save_adapter(adapter, *model_, folder_ / "adapter"); }), refusal);
}

// What it learned is in the state when it ends, and whoever refers to the values sees those of the
// state.
TEST_F(LoraTrainingTest, TheStateOfTheEndIsWhatWasLearned) {
  const fs::path state = folder_ / "state";
  ThreadPool pool(1);
  const auto run = [&](const auto& body) {
    Learned learned = make_whole(*model_);
    Network network(model_, pool, 20, learned);
    Training training(network, pool, learned, data_, 20, options(0.002), "a test");
    body(training);
    return training.evaluate(data_.held_out);
  };
  const double before = run([](Training&) {});
  const double learned =
      run([&](Training& training) { training.run(state, [](int, double, int) { return true; }); });
  EXPECT_LT(learned, before);
  EXPECT_EQ(run([&](Training& training) {
              training.load(state);
              EXPECT_TRUE(training.is_done());
            }),
            learned);
}

TEST_F(LoraTrainingTest, RefusesAStateThatIsAnothers) {
  ThreadPool pool(1);
  Learned learned = make_lora(*model_, {.rank = 2, .alpha = 4});
  Network network(model_, pool, 20, learned);
  Training training(network, pool, learned, data_, 20, options(0.02), "a test");
  const fs::path state = folder_ / "state";
  training.save(state);
  Training other(network, pool, learned, data_, 20, options(0.02), "another");
  EXPECT_EQ(
      error_of([&] { other.load(state); }),
      "'" + state.string() + "' is the state of another training: a test; this one is: another");
  Learned wider = make_lora(*model_, {.rank = 3, .alpha = 4});
  Training wide(network, pool, wider, data_, 20, options(0.02), "a test");
  EXPECT_THAT(error_of([&] { wide.load(state); }), testing::HasSubstr("does not hold the values"));
  EXPECT_THAT(error_of([&] { training.load(model_->paths()[0]); }),
              testing::HasSubstr("is no state of a training"));
}

TEST_F(LoraTrainingTest, RefusesARankThatDoesNotFit) {
  EXPECT_THAT(error_of([&] { make_lora(*model_, {.rank = 0}); }),
              testing::HasSubstr("a rank of 0 does not fit tensor 'blk.0."));
  EXPECT_THAT(error_of([&] { make_lora(*model_, {.rank = 1000}); }),
              testing::HasSubstr("expected 1 to"));
  EXPECT_EQ(error_of([&] { make_lora(*model_, {.roles = {TensorRole::kRouter}}); }),
            "the model has no matrix that an adapter is made for");
}

}  // namespace
}  // namespace tessera::train
