// Medusa heads that are learned: their gradients against finite differences, and what the program
// that serves makes of the file.
#include "train/medusa.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "differences.h"
#include "files/open.h"
#include "model/flat_context.h"
#include "model/medusa_heads.h"
#include "support/random_floats.h"
#include "support/temp_folder.h"
#include "support/test_backend.h"
#include "support/tiny_model.h"
#include "train/training.h"

namespace tessera::train {
namespace {

class MedusaTrainingTest : public testing::Test {
 protected:
  static constexpr int kHeads = 3;

  // Texts that go round in a circle: what comes is known, however far ahead.
  static Data circles() {
    std::vector<Example> examples;
    for (Token i = 0; i < 10; ++i) {
      std::vector<Token> text;
      for (Token k = 0; k < 13; ++k) text.push_back(40 + (i + k) % 5);
      examples.push_back(plain_example(text));
    }
    return hold_out(std::move(examples), 0.2);
  }

  const test::TempFolder folder_;
  const std::shared_ptr<const Checkpoint> checkpoint_ =
      open_checkpoint(write_tiny_model({.format = &kQ8_0, .layers = 2}, folder_.path()));
  Model trunk_{checkpoint_, make_test_backend(2), {.context = 64, .rows = 32, .wanted_rows = 4}};
  ThreadPool pool_{2};
};

TEST_F(MedusaTrainingTest, GradientsEqualFiniteDifferences) {
  Learned learned = make_medusa_heads(kHeads, trunk_.config().embedding);
  int seed = 0;
  for (Parameter* parameter : learned.parameters())
    parameter->values =
        random_floats(parameter->values.size(), static_cast<uint32_t>(++seed), 0.2f);
  MedusaObjective objective(*checkpoint_, trunk_, pool_, learned);
  const Data data = circles();
  const auto examples = std::span(data.learned).first(2);
  const double loss = objective.differentiate(examples, 1);
  EXPECT_EQ(loss, objective.loss(examples));
  // In f32, so along whole directions instead of value by value: of each parameter its gradient's.
  for (Parameter* parameter : learned.parameters()) {
    double square = 0;
    for (const float g : parameter->gradient)
      square += static_cast<double>(g) * static_cast<double>(g);
    const std::vector<float> values = parameter->values;
    const auto at = [&](double step) {
      for (size_t i = 0; i < values.size(); ++i)
        parameter->values[i] =
            values[i] + static_cast<float>(step * static_cast<double>(parameter->gradient[i]) /
                                           std::sqrt(square));
      return objective.loss(examples);
    };
    const double slope = (at(0.02) - at(-0.02)) / 0.04;
    parameter->values = values;
    EXPECT_NEAR(slope / std::sqrt(square), 1, 5e-3) << parameter->name;
  }
}

TEST_F(MedusaTrainingTest, LearnsWhatComesAndServesIt) {
  Learned learned = make_medusa_heads(kHeads, trunk_.config().embedding);
  MedusaObjective objective(*checkpoint_, trunk_, pool_, learned);
  const Data data = circles();
  TrainingOptions options;
  options.schedule = {.rate = 0.02, .steps = 60, .warmup = 2};
  options.batch = 4;
  Training training(objective, pool_, learned, data, 64, options, "a test");
  training.run(folder_ / "state", [](int, double, int) { return true; });
  EXPECT_LT(training.curve().held_out.back().loss, 0.5 * training.curve().held_out.front().loss);
  const auto accuracies = objective.accuracies(data.held_out);
  ASSERT_EQ(accuracies.size(), 3u);
  for (const auto& accuracy : accuracies) {
    ASSERT_TRUE(accuracy);
    EXPECT_GT(accuracy->first, 0.9);
    EXPECT_GE(accuracy->five, accuracy->first);
  }
  // Of three tokens, the second head has none to say and the first one.
  const std::vector<Example> brief = {plain_example(std::vector<Token>{5, 9, 7})};
  EXPECT_TRUE(objective.accuracies(brief)[0]);
  EXPECT_FALSE(objective.accuracies(brief)[1]);
  EXPECT_FALSE(objective.accuracies({})[0]);

  const std::filesystem::path file = folder_ / "heads.gguf";
  save_medusa_heads(learned, file);
  const auto stored = open_checkpoint(file);
  MedusaHeads heads(*stored, trunk_);
  ASSERT_EQ(heads.heads(), kHeads);
  const Example& example = data.held_out[0];
  FlatContext context(trunk_, example.rows(), KvFormat::kF16);
  Batch batch;
  batch.add_chain(example.tokens, 0, context.block_table);
  trunk_.forward(batch, *context.kv);
  constexpr int kRow = 6;
  std::vector<float> state;
  trunk_.backend().download(trunk_.hidden_states(kRow, 1)).copy(state);
  const HostRows logits = heads.forward(state);
  for (int head = 0; head < kHeads; ++head) {
    const auto row = logits.row(head);
    EXPECT_EQ(std::ranges::max_element(row) - row.begin(),
              example.targets[static_cast<size_t>(kRow + 1 + head)]);
  }
}

}  // namespace
}  // namespace tessera::train
