// All weights of a model: what is learned of it, and the file that what was learned becomes.
#include "train/whole.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "decoded.h"
#include "files/open.h"
#include "paths.h"
#include "support/error_of.h"
#include "support/gguf_in_f32.h"
#include "support/temp_folder.h"
#include "support/tiny_model.h"
#include "train/adamw.h"
#include "train/network.h"

namespace tessera::train {
namespace {

namespace fs = std::filesystem;

const std::vector<Token> kText = {5, 9, 30, 7, 2, 41, 17, 8, 44, 12, 11, 3, 3, 25};

class WholeTest : public testing::Test {
 protected:
  std::shared_ptr<const Checkpoint> tiny(const TinyModelSpec& spec = {}) {
    return open_checkpoint(write_tiny_model(spec, folder_.path()));
  }
  // Values that no file had.
  static Learned changed(const Checkpoint& model) {
    Learned learned = make_whole(model);
    float by = 0.01f;
    for (Parameter* parameter : learned.parameters()) {
      for (float& value : parameter->values) value += by = -by;
    }
    return learned;
  }
  std::shared_ptr<const Checkpoint> saved(const Checkpoint& model, const Learned& learned,
                                          const char* format, int threads = 2) {
    ThreadPool pool(threads);
    const Recipe& recipe = require_recipe(format);
    const fs::path path = folder_ / (std::string(format) + std::to_string(threads) + ".gguf");
    save_whole(model, learned, recipe, plan_whole(model, recipe, false), pool, path);
    return open_checkpoint(path);
  }
  const test::TempFolder folder_;
};

TEST_F(WholeTest, IsAllThatGradientsReach) {
  const auto model = open_checkpoint(fs::path(TESSERA_TEST_DATA) / "folders/llama-scaled");
  ASSERT_NE(model->find({TensorRole::kRopeFactors}), nullptr);
  Learned learned = make_whole(*model);
  EXPECT_EQ(learned.whole.size(), model->tensors().size() - 1);
  ThreadPool pool(2);
  Network network(model, pool, static_cast<int>(kText.size()), learned);
  network.differentiate(std::vector<Example>{plain_example(kText)}, 1);
  for (const auto& [place, parameter] : learned.whole) {
    EXPECT_EQ(parameter.values, decoded(model->require(place))) << parameter.name;
    EXPECT_TRUE(std::ranges::any_of(parameter.gradient, [](float g) { return g != 0; }))
        << parameter.name;
  }
}

TEST_F(WholeTest, AFileInF32HoldsWhatWasLearned) {
  const auto model = tiny({.format = &kQ4_0, .layers = 2});
  const Learned learned = changed(*model);
  const auto file = saved(*model, learned, "F32");
  EXPECT_EQ(file->tensors().size(), model->tensors().size());
  for (const StoredTensor& tensor : file->tensors())
    EXPECT_EQ(decoded(tensor), learned.whole.at(tensor.place).values) << tensor.name;
}

TEST_F(WholeTest, AFileIsTheSameModelInAnyFormat) {
  const auto model = tiny({.layers = 2, .rope_scaling = "llama3", .tied = true});
  Learned learned = changed(*model);
  const auto file = saved(*model, learned, "Q8_0");
  EXPECT_EQ(decoded(file->require({TensorRole::kRopeFactors})),
            decoded(model->require({TensorRole::kRopeFactors})));
  EXPECT_EQ(file->facts().get_int("general.file_type"), 7);
  const Parameter& gate = learned.whole.at({TensorRole::kGate, 0});
  ThreadPool pool(1);
  std::vector<float> rounded(gate.values.size());
  kQ8_0.decode(encoded(gate, kQ8_0, pool).data(), rounded);
  EXPECT_EQ(decoded(file->require({TensorRole::kGate, 0})), rounded);
  Learned nothing;
  Network of_file(file, pool, static_cast<int>(kText.size()), nothing);
  Network network(model, pool, static_cast<int>(kText.size()), learned);
  const std::vector<Example> examples = {plain_example(kText)};
  EXPECT_NEAR(of_file.loss(examples) / network.loss(examples), 1, 0.01);
}

// What a folder keeps otherwise (rows of queries in another order, one matrix in two) is learned as
// GGUF has it, and a tied output stays tied.
TEST_F(WholeTest, AFolderBecomesAFileOfTheSameModel) {
  const std::vector<Example> examples = {plain_example(std::vector<Token>{5, 9, 30, 7, 2, 41})};
  for (const char* family : {"llama-scaled", "phi3", "gemma3"}) {
    const test::TempFolder folder;
    test::folder_as_gguf(fs::path(TESSERA_TEST_DATA) / "folders" / family, folder);
    fs::remove(folder / "model.gguf");
    const auto model = open_checkpoint(folder.path());
    Learned learned = changed(*model), nothing;
    const auto file = saved(*model, learned, "F32");
    EXPECT_EQ(file->find({TensorRole::kOutput}) == nullptr,
              model->find({TensorRole::kOutput}) == nullptr);
    ThreadPool pool(2);
    Network of_file(file, pool, 20, nothing), network(model, pool, 20, learned);
    EXPECT_EQ(of_file.loss(examples), network.loss(examples)) << family;
  }
}

TEST_F(WholeTest, ThreadsChangeNoByteOfAFile) {
  const auto model = tiny({.layers = 2});
  const Learned learned = changed(*model);
  EXPECT_EQ(test::read_bytes(saved(*model, learned, "Q4_K_M", 1)->paths()[0]),
            test::read_bytes(saved(*model, learned, "Q4_K_M", 3)->paths()[0]));
}

// Quantization-aware training, behind some steps: what a pass sees is what a file of that format
// decodes to, bit for bit.
TEST_F(WholeTest, APassSeesWhatAFileHolds) {
  const std::vector<Example> examples = {plain_example(kText)};
  for (const char* format : {"Q4_0", "Q2_0", "TQ2_0", "Q4_K_M", "F16"}) {
    const auto model = tiny({.layers = 2, .embedding = 256, .feed_forward = 256});
    const auto plan = plan_whole(*model, require_recipe(format), false);
    ThreadPool pool(2);
    Learned learned = make_whole(*model), nothing;
    set_grids(*model, plan, learned);
    Network network(model, pool, 20, learned);
    AdamW adamw(learned.parameters(), {});
    const double before = network.loss(examples);
    for (int step = 0; step < 3; ++step) {
      network.differentiate(examples, 0.1f);
      adamw.step(pool, 1e-3);
    }
    const double after = network.loss(examples);
    EXPECT_NE(before, after) << format;
    const fs::path path = folder_ / "rounded.gguf";
    save_whole(*model, learned, require_recipe(format), plan, pool, path);
    const auto file = open_checkpoint(path);
    Network of_file(file, pool, 20, nothing);
    EXPECT_EQ(of_file.loss(examples), after) << format;
    for (const StoredTensor& tensor : file->tensors()) {
      const Parameter& parameter = learned.whole.at(tensor.place);
      if (parameter.grid == nullptr) continue;
      std::vector<float> seen(parameter.values.size());
      parameter.grid->decode(parameter.rounded.data(), seen);
      EXPECT_EQ(decoded(tensor), seen) << tensor.name;
    }
  }
}

// Whose file has the reciprocal of the factor that the scales of a matrix share.
TEST_F(WholeTest, OfNvfp4APassSeesWhatAFileHoldsButForTheLastBit) {
  const auto model = tiny({.layers = 2});
  ThreadPool pool(2);
  Learned learned = changed(*model), nothing;
  set_grids(*model, plan_whole(*model, require_recipe("NVFP4"), false), learned);
  Network network(model, pool, 20, learned);
  Network of_file(saved(*model, learned, "NVFP4"), pool, 20, nothing);
  const std::vector<Example> examples = {plain_example(kText)};
  EXPECT_NEAR(of_file.loss(examples) / network.loss(examples), 1, 1e-6);
}

// The gradient passes straight through: it is that of the rounded values.
TEST_F(WholeTest, ARoundedModelHasTheGradientOfItsRoundedValues) {
  const auto model = tiny({.layers = 2});
  const std::vector<Example> examples = {plain_example(kText)};
  ThreadPool pool(2);
  Learned rounded = changed(*model), plain;
  const auto plan = plan_whole(*model, require_recipe("Q4_0"), false);
  set_grids(*model, plan, rounded);
  Network network(model, pool, 20, rounded);
  network.differentiate(examples, 1);
  const auto file = saved(*model, rounded, "Q4_0");
  plain = make_whole(*file);
  Network other(file, pool, 20, plain);
  other.differentiate(examples, 1);
  for (const auto& [place, parameter] : rounded.whole)
    EXPECT_EQ(parameter.gradient, plain.whole.at(place).gradient) << parameter.name;
}

// Ternary by absmean (BitNet b1.58), whatever the width; codes and scales of other tools.
TEST_F(WholeTest, APassSeesWhatAFolderHolds) {
  const auto model = tiny({.layers = 2, .feed_forward = 128});
  const std::vector<Example> examples = {plain_example(kText)};
  for (const char* format : {"bitnet", "gptq-4bit-32g", "bnb-nf4"}) {
    const Recipe& recipe = require_recipe(format);
    const auto plan = plan_whole(*model, recipe, false);
    ThreadPool pool(2);
    Learned learned = changed(*model), nothing;
    set_grids(*model, plan, learned);
    Network network(model, pool, 20, learned);
    const double loss = network.loss(examples);
    save_whole(*model, learned, recipe, plan, pool, folder_ / format);
    Network of_folder(open_checkpoint(folder_ / format), pool, 20, nothing);
    EXPECT_EQ(of_folder.loss(examples), loss) << format;
  }
}

TEST_F(WholeTest, RefusesWhatHasNoPlace) {
  const auto model = tiny();
  EXPECT_THAT(error_of([&] { plan_whole(*model, require_recipe("gptq-4bit-128g"), false); }),
              testing::HasSubstr("tensor 'blk.0."));
}

}  // namespace
}  // namespace tessera::train
