// A draft of one layer that is learned: its gradients against finite differences, and what the
// program that serves makes of the file.
#include "train/eagle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>

#include "differences.h"
#include "files/gguf/reader.h"
#include "files/gguf/writer.h"
#include "files/open.h"
#include "model/flat_context.h"
#include "model/next_tokens.h"
#include "support/error_of.h"
#include "support/random_floats.h"
#include "support/temp_folder.h"
#include "support/test_backend.h"
#include "support/tiny_model.h"
#include "train/circles.h"
#include "train/training.h"
#include "train/trunk.h"

namespace tessera::train {
namespace {

class EagleDraftTest : public testing::Test {
 protected:
  explicit EagleDraftTest(const TinyModelSpec& spec) : spec_(spec) {}
  static constexpr int kRows = 64;

  Learned draft() { return make_eagle_draft(*checkpoint_, trunk_, circles().learned[0]); }
  EagleObjective objective(Learned& learned, std::vector<Token> tokens, EagleOptions options) {
    return EagleObjective(*checkpoint_, trunk_, pool_, learned, std::move(tokens), options, kRows);
  }
  TrainingOptions options(int steps) const {
    TrainingOptions options;
    options.schedule = {.rate = 0.01, .steps = steps, .warmup = 2};
    options.batch = 4;
    return options;
  }
  std::filesystem::path save(const Learned& learned, const std::vector<Token>& tokens) {
    const auto path = folder_ / "draft.gguf";
    save_eagle_draft(
        learned, trunk_.config(),
        {.place = {}, .tokens = tokens, .values = output_rows(*checkpoint_, tokens, 1)}, path);
    return path;
  }

  const TinyModelSpec spec_;
  const test::TempFolder folder_;
  const std::shared_ptr<const Checkpoint> checkpoint_ =
      open_checkpoint(write_tiny_model(spec_, folder_.path()));
  Model trunk_{checkpoint_, make_test_backend(2), {.context = 64, .rows = 32, .wanted_rows = 4}};
  ThreadPool pool_{2};
};

class EagleTrainingTest : public EagleDraftTest, public testing::WithParamInterface<const char*> {
 protected:
  EagleTrainingTest()
      : EagleDraftTest({.architecture = GetParam(), .format = &kQ8_0, .layers = 2}) {}
};

// Of a model that says the circle itself, whose distribution is what is learned.
class EagleOfACircleTest : public EagleDraftTest {
 protected:
  EagleOfACircleTest() : EagleDraftTest({.layers = 2, .says = {40, 41, 42, 43, 44}}) {}
};

TEST_P(EagleTrainingTest, GradientsEqualFiniteDifferences) {
  Learned learned = draft();
  uint32_t seed = 0;
  for (Parameter* parameter : learned.parameters()) {
    const std::vector<float> noise = random_floats(parameter->values.size(), ++seed, 0.1f);
    for (size_t i = 0; i < noise.size(); ++i) parameter->values[i] += noise[i];
  }
  const Data data = circles();
  const auto examples = std::span(data.learned).first(2);
  const EagleOptions kinds[] = {{.classification = 1, .regression = 0},
                                {.classification = 0.1, .regression = 1}};
  const std::vector<Token> known[] = {{}, {3, 40, 41, 44, 200}};
  for (const EagleOptions& kind : kinds) {
    for (const auto& tokens : known) {
      EagleObjective objective = this->objective(learned, tokens, kind);
      for (Parameter* parameter : learned.parameters())
        std::ranges::fill(parameter->gradient, 0.0f);
      const double loss = objective.differentiate(examples, 1);
      EXPECT_EQ(loss, objective.loss(examples));
      // In f32, so along whole directions instead of value by value: of each parameter its
      // gradient's.
      for (Parameter* parameter : learned.parameters()) {
        double square = 0;
        for (const float g : parameter->gradient)
          square += static_cast<double>(g) * static_cast<double>(g);
        ASSERT_GT(square, 0) << parameter->name;
        const std::vector<float> values = parameter->values;
        const auto at = [&](double step) {
          for (size_t i = 0; i < values.size(); ++i)
            parameter->values[i] =
                values[i] + static_cast<float>(step * static_cast<double>(parameter->gradient[i]) /
                                               std::sqrt(square));
          return objective.loss(examples);
        };
        const double slope = (8 * (at(0.01) - at(-0.01)) - (at(0.02) - at(-0.02))) / 0.12;
        parameter->values = values;
        EXPECT_NEAR(slope / std::sqrt(square), 1, 1e-2) << parameter->name;
      }
    }
  }
}

// The draft of the file, asked on and on, tells the text as the objective says it does.
TEST_F(EagleOfACircleTest, LearnsWhatComesAndServesIt) {
  Learned learned = draft();
  const Data data = circles();
  const std::vector<Token> tokens = {3, 40, 41, 42, 43, 44, 200};
  EagleObjective objective = this->objective(learned, tokens, {.passes = 3});
  Training training(objective, pool_, learned, data, kRows, options(60), "a test");
  training.run(folder_ / "state", [](int, double, int) { return true; });
  EXPECT_LT(training.curve().held_out.back().loss, 0.7 * training.curve().held_out.front().loss);
  for (const auto& accuracy : objective.accuracies(data.held_out, 3)) {
    ASSERT_TRUE(accuracy);
    EXPECT_GT(*accuracy, 0.9);
  }
  EXPECT_FALSE(objective.accuracies({}, 1)[0]);

  NextTokens next(checkpoint_, trunk_, open_checkpoint(save(learned, tokens)));
  const Example& example = data.held_out[0];
  const std::vector<float> states = hidden_states(trunk_, std::span(&example, 1));
  constexpr int kTold = 6;
  std::vector<int32_t> table(blocks_for(kTold + 3));
  std::iota(table.begin(), table.end(), 0);
  const auto kv = next.make_kv(static_cast<int>(table.size()));
  std::vector<float> hidden(states.begin(), states.begin() + kTold * trunk_.config().embedding);
  std::vector<Token> text(example.tokens.begin() + 1, example.tokens.begin() + 1 + kTold);
  int done = 0;
  for (size_t ahead = 0; ahead < 3; ++ahead) {
    Batch batch;
    batch.add_chain(text, done, table);
    batch.wanted = {batch.rows() - 1};
    const NextTokens::Output output = next.forward(batch, hidden, *kv);
    ASSERT_EQ(output.logits.size(), size_t{320});
    const auto said = std::ranges::max_element(output.logits) - output.logits.begin();
    EXPECT_EQ(said, example.tokens[kTold + 1 + ahead]) << ahead;
    done += batch.rows();
    text = {static_cast<Token>(said)};
    output.hidden.copy(hidden);
  }
}

// The model with its last layer once more behind it.
std::filesystem::path with_last_layer_twice(const std::filesystem::path& from,
                                            const std::filesystem::path& to) {
  const GgufFile file = GgufFile::open(from);
  GgufMetadata metadata = file.metadata();
  metadata.set(metadata.require_string("general.architecture") + ".block_count", {uint32_t{3}});
  GgufWriter writer(metadata);
  std::vector<StoredTensor> tensors;
  for (const StoredTensor& tensor : file.tensors()) {
    tensors.push_back(tensor);
    if (!tensor.name.starts_with("blk.1.")) continue;
    tensors.push_back(tensor);
    tensors.back().name = "blk.2." + tensor.name.substr(6);
  }
  for (const StoredTensor& tensor : tensors)
    writer.declare(tensor.name, *tensor.format, tensor.shape);
  writer.write(to, [&](size_t i) {
    return std::vector<std::byte>(tensors[i].bytes.begin(), tensors[i].bytes.end());
  });
  return to;
}

// Which is to say that it undoes the final norm, and leaves the layer what it is in the model.
TEST_P(EagleTrainingTest, BeginsAsTheModelsLastLayerOnceMore) {
  const auto twice =
      open_checkpoint(with_last_layer_twice(checkpoint_->paths().at(0), folder_ / "twice.gguf"));
  Model longer(twice, make_test_backend(2), {.context = 64, .rows = 32, .wanted_rows = 4});
  const Example text = plain_example(std::vector<Token>{5, 9, 30, 7, 2, 41, 17, 8, 44, 12});
  const auto one = std::span(&text, 1);
  const std::vector<float> expected = hidden_states(longer, one);

  NextTokens next(checkpoint_, trunk_,
                  open_checkpoint(save(make_eagle_draft(*checkpoint_, trunk_, text), {})));
  std::vector<int32_t> table = {0};
  const auto kv = next.make_kv(1);
  Batch batch;
  batch.add_chain(text.tokens, 0, table);
  for (int row = 0; row < batch.rows(); ++row) batch.wanted.push_back(row);
  std::vector<float> made;
  next.forward(batch, hidden_states(trunk_, one), *kv).hidden.copy(made);
  // LayerNorm takes a mean away that is no part of the stream; weights are cut to Q8_0.
  const double most = std::string(GetParam()) == "cohere2" ? 0.2 : 0.05;
  EXPECT_LT(relative_error(made, doubles(expected)), most);
}

// Stopped or not, by any number of threads.
TEST_P(EagleTrainingTest, GoesOnToTheSameBits) {
  const Data data = circles();
  const auto run = [&](int threads, int stop) {
    ThreadPool pool(threads);
    Learned learned = draft();
    EagleObjective objective(*checkpoint_, trunk_, pool, learned, {}, {.passes = 2}, kRows);
    Training first(objective, pool, learned, data, kRows, options(6), "a test");
    first.run(folder_ / "state", [&](int step, double, int) { return step != stop; });
    if (!first.is_done()) {
      Learned again = draft();
      EagleObjective other(*checkpoint_, trunk_, pool, again, {}, {.passes = 2}, kRows);
      Training second(other, pool, again, data, kRows, options(6), "a test");
      second.load(folder_ / "state");
      second.run(folder_ / "state", [](int, double, int) { return true; });
      learned = std::move(again);
    }
    std::vector<std::vector<float>> values;
    for (const Parameter* parameter : learned.parameters()) values.push_back(parameter->values);
    return values;
  };
  const auto whole = run(1, 0);
  EXPECT_EQ(run(3, 0), whole);
  EXPECT_EQ(run(2, 4), whole);
}

INSTANTIATE_TEST_SUITE_P(Families, EagleTrainingTest, testing::Values("llama", "gemma2", "cohere2"),
                         [](const auto& one) { return std::string(one.param); });

TEST(EagleTest, NamesWhatItCannotTrain) {
  const test::TempFolder folder;
  const auto model = open_checkpoint(write_tiny_model({.architecture = "qwen35"}, folder.path()));
  Model trunk(model, make_test_backend(1), {.context = 64, .rows = 32, .wanted_rows = 4});
  const Example sample = plain_example(std::vector<Token>{5, 9, 7, 3});
  EXPECT_THAT(error_of([&] { make_eagle_draft(*model, trunk, sample); }),
              testing::EndsWith("no way back through recurrent layers"));
}

}  // namespace
}  // namespace tessera::train
