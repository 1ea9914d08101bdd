// Medusa heads that are learned: their gradients against finite differences, and what the program
// that serves makes of the file.
#include "train/medusa.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>

#include "differences.h"
#include "files/open.h"
#include "model/flat_context.h"
#include "model/medusa_heads.h"
#include "support/random_floats.h"
#include "support/temp_folder.h"
#include "support/test_backend.h"
#include "support/tiny_model.h"
#include "train/circles.h"
#include "train/training.h"

namespace tessera::train {
namespace {

class MedusaTrainingTest : public testing::Test {
 protected:
  static constexpr int kHeads = 3;

  // At random values.
  void expect_slopes(Learned& learned, const std::vector<Token>& tokens);

  const test::TempFolder folder_;
  const std::shared_ptr<const Checkpoint> checkpoint_ =
      open_checkpoint(write_tiny_model({.format = &kQ8_0, .layers = 2}, folder_.path()));
  Model trunk_{checkpoint_, make_test_backend(2), {.context = 64, .rows = 32, .wanted_rows = 4}};
  ThreadPool pool_{2};
};

void MedusaTrainingTest::expect_slopes(Learned& learned, const std::vector<Token>& tokens) {
  int seed = 0;
  for (Parameter* parameter : learned.parameters())
    parameter->values =
        random_floats(parameter->values.size(), static_cast<uint32_t>(++seed), 0.2f);
  MedusaObjective objective(*checkpoint_, trunk_, pool_, learned, tokens);
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

TEST_F(MedusaTrainingTest, GradientsEqualFiniteDifferences) {
  Learned learned = make_medusa_heads(kHeads, trunk_.config().embedding);
  expect_slopes(learned, {});
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
  const auto shares = objective.hit_shares(data.held_out);
  ASSERT_EQ(shares.size(), 3u);
  for (const HitShares& head : shares) {
    ASSERT_TRUE(head);
    EXPECT_GT(share_among(*head, 1), 0.9);
    EXPECT_LE(share_among(*head, MedusaHeads::kRanks), 1 + 1e-6);
  }
  // Of three tokens, the second head has none to say and the first one.
  const std::vector<Example> brief = {plain_example(std::vector<Token>{5, 9, 7})};
  EXPECT_TRUE(objective.hit_shares(brief)[0]);
  EXPECT_FALSE(objective.hit_shares(brief)[1]);
  EXPECT_FALSE(objective.hit_shares({})[0]);

  const std::filesystem::path file = folder_ / "heads.gguf";
  save_medusa_heads(learned, {}, shares, file);
  const auto stored = open_checkpoint(file);
  MedusaHeads heads(*stored, trunk_);
  ASSERT_EQ(heads.heads(), kHeads);
  ASSERT_EQ(heads.hit_shares().size(), shares.size());
  for (size_t head = 0; head < shares.size(); ++head) {
    for (size_t rank = 0; rank < shares[head]->size(); ++rank)
      EXPECT_NEAR(heads.hit_shares()[head][rank], (*shares[head])[rank], 1e-4f);
  }
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

// Heads of some tokens: they learn as heads do whose logits of all others are nothing, and bring
// the rows of the output matrix that they were trained with.
TEST_F(MedusaTrainingTest, HeadsMayKnowFrequentTokensOnly) {
  const Data data = circles();
  const std::vector<Token> kept = {7}, tokens = frequent_tokens(data.learned, 320, 5, kept);
  EXPECT_EQ(tokens, (std::vector<Token>{7, 40, 42, 43, 44}));  // 41 is there least often
  EXPECT_EQ(frequent_tokens(data.learned, 320, 8, kept),
            (std::vector<Token>{0, 1, 7, 40, 41, 42, 43, 44}));
  EXPECT_TRUE(frequent_tokens(data.learned, 320, 320, kept).empty());
  EXPECT_TRUE(frequent_tokens(data.learned, 320, 0, kept).empty());

  Learned learned = make_medusa_heads(kHeads, trunk_.config().embedding);
  MedusaObjective objective(*checkpoint_, trunk_, pool_, learned, tokens);
  TrainingOptions options;
  options.schedule = {.rate = 0.02, .steps = 40, .warmup = 2};
  options.batch = 4;
  Training training(objective, pool_, learned, data, 64, options, "a test");
  training.run(folder_ / "state", [](int, double, int) { return true; });
  for (const HitShares& head : objective.hit_shares(data.held_out)) {
    EXPECT_GT(share_among(*head, 1), 0.7);
    EXPECT_LT(share_among(*head, MedusaHeads::kRanks), 0.85)
        << "a fifth of the tokens is unknown, and counts as missed";
  }

  const std::filesystem::path file = folder_ / "some.gguf";
  const OutputRows output{.place = {TensorRole::kOutput},
                          .tokens = tokens,
                          .values = output_rows(*checkpoint_, tokens, 1)};
  save_medusa_heads(learned, output, {}, file);
  MedusaHeads heads(*open_checkpoint(file), trunk_);
  // As heads of all tokens with the same blocks.
  save_medusa_heads(learned, {}, {}, folder_ / "all.gguf");
  MedusaHeads all(*open_checkpoint(folder_ / "all.gguf"), trunk_);
  const std::vector<float> state =
      random_floats(static_cast<size_t>(trunk_.config().embedding), 5, 1.0f);
  std::vector<float> some_logits;
  heads.forward(state).middle(1, 1).copy(some_logits);
  const auto expected = all.forward(state).row(1);
  for (size_t i = 0; i < expected.size(); ++i) {
    if (std::ranges::binary_search(tokens, static_cast<Token>(i))) {
      EXPECT_NEAR(some_logits[i], expected[i], 0.02f * std::abs(expected[i]) + 0.02f) << i;
    } else {
      EXPECT_EQ(some_logits[i], -std::numeric_limits<float>::infinity()) << i;
    }
  }
}

// Of trees of one, two, ... nodes: the likeliest paths, and the token that comes anyway.
TEST(MedusaTreeTest, ExpectsWhatItsPathsAreWorth) {
  const std::vector<HitShares> heads = {MedusaHeads::HitShares{0.6f, 0.2f, 0.1f},
                                        MedusaHeads::HitShares{0.5f, 0.3f}, HitShares()};
  const double paths[] = {1, 0.6, 0.3, 0.2, 0.18, 0.1, 0.1};  // ..., 0.2 * 0.5
  double sum = 0;
  for (int nodes = 0; nodes < 7; ++nodes) {
    sum += paths[nodes];
    EXPECT_NEAR(expected_tokens(heads, nodes), sum, 1e-6) << nodes;
  }
  EXPECT_NEAR(expected_tokens(heads, 1000), 1 + 0.9 + 0.9 * 0.8, 1e-6);
}

TEST_F(MedusaTrainingTest, GradientsOfSomeTokensEqualFiniteDifferences) {
  Learned learned = make_medusa_heads(kHeads, trunk_.config().embedding);
  expect_slopes(learned, {3, 40, 41, 44, 200});
}

}  // namespace
}  // namespace tessera::train
