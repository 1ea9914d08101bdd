// A student that learns from a teacher: its loss and gradients against torch's
// (tests/tools/make_gradient_goldens.py), nothing to learn from itself, and what it comes to.
#include "train/distillation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "files/open.h"
#include "model/reader.h"
#include "paths.h"
#include "support/error_of.h"
#include "support/temp_folder.h"
#include "support/test_backend.h"
#include "support/tiny_model.h"
#include "train/decoded.h"
#include "train/network.h"
#include "train/training.h"
#include "train/whole.h"

namespace tessera::train {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Says the same of whatever it reads.
class FixedTeacher final : public Teacher {
 public:
  FixedTeacher(int vocabulary, int embedding) : vocabulary_(vocabulary), embedding_(embedding) {}

  int vocabulary() const override { return vocabulary_; }
  int embedding() const override { return embedding_; }
  void read(std::span<const Example>) override {}
  HostRows hidden(int first, int count) const override {
    return HostRows(hiddens.data(), first + count, embedding_, embedding_).middle(first, count);
  }
  HostRows logits(int first, int count) override {
    return HostRows(all_logits.data(), first + count, vocabulary_, vocabulary_)
        .middle(first, count);
  }

  std::vector<float> all_logits, hiddens;

 private:
  int vocabulary_, embedding_;
};

// Loses nothing, and keeps what it sees.
class Listener final : public Loss {
 public:
  explicit Listener(FixedTeacher& into) : into_(into) {}
  double of(const LossRows& rows) override {
    for (int r = 0; r < rows.logits.rows; ++r) {
      const auto logits = rows.logits.row(r), hidden = rows.hidden.row(r);
      into_.all_logits.insert(into_.all_logits.end(), logits.begin(), logits.end());
      into_.hiddens.insert(into_.hiddens.end(), hidden.begin(), hidden.end());
    }
    return 0;
  }
  double differentiate(const LossRows& rows, float, HostTensor, HostTensor) override {
    return of(rows);
  }

 private:
  FixedTeacher& into_;
};

int rows_of(std::span<const Example> examples) {
  int rows = 0;
  for (const Example& example : examples) rows += example.rows();
  return rows;
}

struct Differentiated {
  double loss;
  Learned learned;
};

// Of all weights of the student, a mean over rows.
Differentiated distill(const std::shared_ptr<const Checkpoint>& student, Teacher& teacher,
                       const DistillationOptions& options, const std::vector<Example>& examples,
                       int threads) {
  ThreadPool pool(threads);
  int counting = 0;
  for (const Example& example : examples) counting += example.counting();
  Differentiated result{0, make_whole(*student)};
  Network network(
      student, pool, rows_of(examples), result.learned,
      std::make_unique<DistillationLoss>(pool, teacher, read_config(*student), options));
  result.loss = network.differentiate(examples, 1.0f / static_cast<float>(counting)) / counting;
  EXPECT_EQ(result.loss, network.loss(examples) / counting);
  return result;
}

double length(std::span<const float> values) {
  double square = 0;
  for (const float value : values)
    square += static_cast<double>(value) * static_cast<double>(value);
  return std::sqrt(square);
}

TEST(DistillationGoldenTest, LossAndGradientsEqualTorchs) {
  const fs::path data(TESSERA_TEST_DATA);
  const fs::path golden_folder = data / "gradients/distillation";
  const json golden = json::parse(std::ifstream(golden_folder / "loss.json"));
  const fs::path folder = data / "folders" / golden["student"].get<std::string>();
  const test::TempFolder temporary;
  fs::copy(folder / "config.json", temporary / "config.json");
  fs::copy(golden_folder / "gradient.safetensors", temporary / "model.safetensors");
  const auto expected = open_checkpoint(temporary.path());

  const auto student = open_checkpoint(folder);
  std::vector<Example> examples;
  for (const json& text : golden["texts"])
    examples.push_back(plain_example(text.get<std::vector<Token>>()));
  const Config config = read_config(*student);
  FixedTeacher teacher(config.vocabulary, config.embedding);
  for (const json& row : golden["logits"])
    for (const json& value : row) teacher.all_logits.push_back(value.get<float>());
  for (const json& row : golden["hidden"])
    for (const json& value : row) teacher.hiddens.push_back(value.get<float>());
  const auto [loss, learned] = distill(student, teacher,
                                       {.alpha = golden["alpha"].get<double>(),
                                        .temperature = golden["temperature"].get<double>(),
                                        .cosine = golden["cosine"].get<double>()},
                                       examples, 2);
  EXPECT_NEAR(loss, golden["loss"].get<double>(), 1e-5);
  for (const auto& [place, parameter] : learned.whole) {
    const std::vector<float> wanted = decoded(expected->require(place));
    std::vector<float> apart = parameter.gradient;
    for (size_t i = 0; i < wanted.size(); ++i) apart[i] -= wanted[i];
    EXPECT_LE(length(apart) / length(wanted), 1e-4) << parameter.name;
  }
}

class DistillationTest : public testing::Test {
 protected:
  std::shared_ptr<const Checkpoint> tiny(const TinyModelSpec& spec) const {
    return open_checkpoint(write_tiny_model(spec, folder_.path()));
  }
  // Texts that the teacher knows no better than its student: what is learned is what it says.
  static Data texts() {
    std::vector<Example> examples;
    for (Token i = 0; i < 16; ++i) {
      std::vector<Token> text;
      for (Token k = 0; k < 15; ++k) text.push_back(20 + (7 * i + (3 + i % 4) * k) % 60);
      examples.push_back(plain_example(text));
    }
    return hold_out(std::move(examples), 0.25);
  }

  const test::TempFolder folder_;
  const Data data_ = texts();
};

TEST_F(DistillationTest, WhoEqualsItsTeacherHasNothingToLearn) {
  const auto student = tiny({.layers = 2});
  const Config config = read_config(*student);
  FixedTeacher teacher(config.vocabulary, config.embedding);
  const std::vector<Example>& examples = data_.learned;
  {
    ThreadPool pool(2);
    Learned nothing;
    Network(student, pool, rows_of(examples), nothing, std::make_unique<Listener>(teacher))
        .loss(examples);
  }
  for (const int kept : {0, 20}) {
    const auto [loss, learned] = distill(
        student, teacher, {.alpha = 1, .temperature = 3, .cosine = 0, .kept = kept}, examples, 2);
    EXPECT_EQ(loss, 0);
    for (const auto& [place, parameter] : learned.whole)
      EXPECT_EQ(length(parameter.gradient), 0) << parameter.name;
  }
  const auto [loss, learned] =
      distill(student, teacher, {.alpha = 1, .temperature = 1, .cosine = 1}, examples, 2);
  EXPECT_NEAR(loss, 0, 1e-12);
  for (const auto& [place, parameter] : learned.whole)
    EXPECT_LE(length(parameter.gradient), 1e-6) << parameter.name;
}

// The model that serves keeps keys and values in f16; there is no other difference.
TEST_F(DistillationTest, WhoEqualsTheModelThatServesHasNextToNothingToLearn) {
  const auto student = tiny({.layers = 2});
  Model model(student, make_test_backend(2), {.context = 64, .rows = 5, .wanted_rows = 4});
  ModelTeacher teacher(model);
  const auto apart = distill(student, teacher, {.alpha = 1, .temperature = 1}, data_.learned, 2);
  EXPECT_LE(apart.loss, 1e-5);
  const auto text = distill(student, teacher, {.alpha = 0}, data_.learned, 2);
  for (const auto& [place, parameter] : apart.learned.whole) {
    EXPECT_LE(length(parameter.gradient), 0.01 * length(text.learned.whole.at(place).gradient))
        << parameter.name;
  }
}

TEST_F(DistillationTest, ATeacherSaysWhatTheModelSays) {
  Model model(tiny({.format = &kQ8_0, .layers = 2}), make_test_backend(2),
              {.context = 64, .rows = 5, .wanted_rows = 4});
  std::vector<Example> examples = {data_.learned[0], data_.learned[1]};
  examples[0].targets[3] = examples[1].targets[0] = kNothing;
  ModelTeacher teacher(model);
  teacher.read(examples);
  ASSERT_EQ(teacher.vocabulary(), model.logits());
  std::vector<float> expected, found, some;
  for (const Example& example : examples) {
    Reader reader(model, example.rows(), KvFormat::kF16);
    reader.read(example.tokens, Reader::Logits::kAll, [&](HostRows logits, int first) {
      for (int r = 0; r < logits.rows; ++r) {
        if (example.targets[static_cast<size_t>(first + r)] == kNothing) continue;
        expected.insert(expected.end(), logits.row(r).begin(), logits.row(r).end());
      }
    });
  }
  const int rows = examples[0].counting() + examples[1].counting();
  for (int first = 0; first < rows; first += 9) {
    teacher.logits(first, std::min(9, rows - first)).copy(some);
    found.insert(found.end(), some.begin(), some.end());
  }
  EXPECT_EQ(found, expected);
}

TEST_F(DistillationTest, AlphaSharesBetweenTextAndTeacher) {
  const auto student = tiny({.layers = 2});
  Model model(tiny({.seed = 2, .layers = 3}), make_test_backend(2), {.context = 64, .rows = 32});
  ModelTeacher teacher(model);
  const auto loss = [&](const DistillationOptions& options) {
    return distill(student, teacher, options, data_.learned, 2).loss;
  };
  const double text = loss({.alpha = 0, .temperature = 3});
  const double soft = loss({.alpha = 1, .temperature = 3});
  const double apart = loss({.alpha = 0, .temperature = 3, .cosine = 1});
  EXPECT_NEAR(loss({.alpha = 0.25, .temperature = 3, .cosine = 2}),
              0.75 * text + 0.25 * soft + 2 * (apart - text), 1e-9);
  ThreadPool pool(2);
  Learned nothing;
  Network plain(student, pool, rows_of(data_.learned), nothing);
  EXPECT_NEAR(text, plain.loss(data_.learned) / rows_of(data_.learned), 1e-12);
}

TEST_F(DistillationTest, ThreadsChangeNoBitOfAGradient) {
  const auto student = tiny({.format = &kQ4_0, .layers = 2});
  const auto teaching = tiny({.format = &kQ8_0, .seed = 2, .layers = 3});
  std::vector<std::vector<float>> gradients[2];
  double losses[2];
  for (const int run : {0, 1}) {
    Model model(teaching, make_test_backend(1 + 2 * run), {.context = 64, .rows = 32});
    ModelTeacher teacher(model);
    const auto [loss, learned] =
        distill(student, teacher, {.alpha = 0.5, .temperature = 2, .cosine = 1, .kept = 30},
                data_.learned, 1 + 2 * run);
    losses[run] = loss;
    for (const auto& entry : learned.whole) gradients[run].push_back(entry.second.gradient);
  }
  EXPECT_EQ(losses[0], losses[1]);
  EXPECT_EQ(gradients[0], gradients[1]);
}

TEST_F(DistillationTest, AStudentComesCloseToItsTeacher) {
  const auto student = tiny({.layers = 1});
  Model model(tiny({.seed = 2, .layers = 3}), make_test_backend(2), {.context = 64, .rows = 32});
  ModelTeacher teacher(model);
  ThreadPool pool(2);
  Learned learned = make_whole(*student);
  Network network(student, pool, 64, learned,
                  std::make_unique<DistillationLoss>(pool, teacher, read_config(*student),
                                                     DistillationOptions()));
  TrainingOptions options;
  options.schedule = {.rate = 0.01, .steps = 60, .warmup = 3};
  options.batch = 4;
  Training training(network, pool, learned, data_, 64, options, "a test");
  training.run(folder_ / "state", [](int, double, int) { return true; });
  const LossCurve& curve = training.curve();
  EXPECT_LT(curve.learned.back(), 0.2f * curve.learned.front());
  EXPECT_LT(curve.held_out.back().loss, 0.5 * curve.held_out.front().loss);
}

// Vocabularies are padded to other lengths; hidden states are as wide as the model is.
TEST_F(DistillationTest, TakesATeacherOfAnotherShape) {
  const auto student = tiny({.layers = 1, .vocabulary = 320});
  for (const int vocabulary : {310, 330}) {
    Model model(tiny({.seed = 2, .layers = 2, .embedding = 96, .vocabulary = vocabulary}),
                make_test_backend(2), {.context = 64, .rows = 32});
    ModelTeacher teacher(model);
    const auto [loss, learned] = distill(student, teacher, {.alpha = 0.5}, data_.learned, 2);
    EXPECT_TRUE(std::isfinite(loss));
    ThreadPool pool(1);
    EXPECT_EQ(
        error_of([&] { DistillationLoss(pool, teacher, read_config(*student), {.cosine = 1}); }),
        "the teacher's hidden states have 96 values, the student's 64: their direction "
        "cannot be compared");
  }
}

}  // namespace
}  // namespace tessera::train
