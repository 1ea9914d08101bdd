// All weights of a model: what is learned of it, and the file that what was learned becomes.
#include "train/whole.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "decoded.h"
#include "files/open.h"
#include "paths.h"
#include "support/error_of.h"
#include "support/model_runner.h"
#include "support/temp_folder.h"
#include "support/tiny_model.h"
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

TEST_F(WholeTest, ThreadsChangeNoByteOfAFile) {
  const auto model = tiny({.layers = 2});
  const Learned learned = changed(*model);
  EXPECT_EQ(test::read_bytes(saved(*model, learned, "Q4_K_M", 1)->paths()[0]),
            test::read_bytes(saved(*model, learned, "Q4_K_M", 3)->paths()[0]));
}

TEST_F(WholeTest, RefusesAFolder) {
  const auto model = tiny();
  EXPECT_EQ(
      error_of([&] { plan_whole(*model, require_recipe("gptq-4bit-128g"), false); }),
      "gptq-4bit-128g is a Hugging Face folder, and what is trained is written as a GGUF file");
}

}  // namespace
}  // namespace tessera::train
