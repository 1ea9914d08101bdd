// A whole model's gradients against torch's autograd, of tiny models that transformers made
// (tests/tools/make_gradient_goldens.py), and against themselves: with other texts beside them, and
// with other numbers of threads.
#include "train/network.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "decoded.h"
#include "files/open.h"
#include "paths.h"
#include "support/error_of.h"
#include "support/model_runner.h"
#include "support/random_floats.h"
#include "support/temp_folder.h"
#include "support/tiny_model.h"
#include "train/whole.h"

namespace tessera::train {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

int rows_of(std::span<const Example> examples) {
  int rows = 0;
  for (const Example& example : examples) rows += example.rows();
  return rows;
}

struct Differentiated {
  double loss;
  Learned learned;
};

Differentiated differentiate(const std::shared_ptr<const Checkpoint>& model,
                             const std::vector<Example>& examples, int threads, Learned learned) {
  ThreadPool pool(threads);
  int counting = 0;
  for (const Example& example : examples) counting += example.counting();
  Differentiated result{0, std::move(learned)};
  Network network(model, pool, rows_of(examples), result.learned);
  result.loss = network.differentiate(examples, 1.0f / static_cast<float>(counting)) / counting;
  return result;
}

class GradientGoldenTest : public testing::TestWithParam<std::string> {
 protected:
  // The gradients as a checkpoint: rows of a matrix lie in it where this family's do.
  std::shared_ptr<const Checkpoint> open_gradient() {
    const fs::path data(TESSERA_TEST_DATA);
    fs::copy(data / "folders" / GetParam() / "config.json", folder_.path() / "config.json");
    fs::copy(data / "gradients" / GetParam() / "gradient.safetensors",
             folder_.path() / "model.safetensors");
    return open_checkpoint(folder_.path());
  }
  json golden() const {
    return json::parse(
        std::ifstream(fs::path(TESSERA_TEST_DATA) / "gradients" / GetParam() / "loss.json"));
  }
  const test::TempFolder folder_;
};

// What opening adds to this tensor: 1 to norms of families that multiply by 1 + weight.
float added_when_opened(const std::string& family, const StoredTensor& tensor) {
  return family.starts_with("gemma") && tensor.shape.size() == 1 ? 1.0f : 0.0f;
}

TEST_P(GradientGoldenTest, EqualTorchs) {
  const auto model = open_checkpoint(fs::path(TESSERA_TEST_DATA) / "folders" / GetParam());
  const auto expected = open_gradient();
  const json golden = this->golden();
  std::vector<Example> examples;
  for (const json& text : golden["texts"])
    examples.push_back(plain_example(text.get<std::vector<Token>>()));
  const auto [loss, learned] = differentiate(model, examples, 2, make_whole(*model));
  EXPECT_NEAR(loss, golden["loss"].get<double>(), 1e-5);
  for (const auto& [place, parameter] : learned.whole) {
    std::vector<float> wanted = decoded(expected->require(place));
    const float added = added_when_opened(GetParam(), expected->require(place));
    double error = 0, size = 0;
    for (size_t i = 0; i < wanted.size(); ++i) {
      const double value = static_cast<double>(wanted[i]) - static_cast<double>(added);
      error += std::pow(static_cast<double>(parameter.gradient[i]) - value, 2);
      size += value * value;
    }
    EXPECT_LE(std::sqrt(error / size), 1e-4) << parameter.name;
  }
}

INSTANTIATE_TEST_SUITE_P(All, GradientGoldenTest,
                         testing::Values("llama-scaled", "qwen2", "qwen3", "gemma2", "gemma3",
                                         "phi3", "gpt2", "gpt-neox", "bloom", "cohere2", "granite"),
                         [](const auto& one) {
                           std::string name = one.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

std::vector<Example> two_texts() {
  return {plain_example(std::vector<Token>{5, 9, 30, 7, 2, 41, 17, 8, 44, 12}),
          plain_example(std::vector<Token>{11, 3, 3, 25, 9})};
}

std::vector<std::vector<float>> gradients(Learned& learned) {
  std::vector<std::vector<float>> all;
  for (const Parameter* parameter : learned.parameters()) all.push_back(parameter->gradient);
  return all;
}

TEST(NetworkTest, ThreadsChangeNoBitOfAGradient) {
  const auto model = open_checkpoint(fs::path(TESSERA_TEST_DATA) / "folders/gemma3");
  auto one = differentiate(model, two_texts(), 1, make_whole(*model));
  auto three = differentiate(model, two_texts(), 3, make_whole(*model));
  EXPECT_EQ(one.loss, three.loss);
  EXPECT_EQ(gradients(one.learned), gradients(three.learned));
}

TEST(NetworkTest, TargetsThatDoNotCountChangeNothing) {
  const auto model = open_checkpoint(fs::path(TESSERA_TEST_DATA) / "folders/llama");
  std::vector<Example> examples = two_texts();
  std::ranges::fill(examples[1].targets, kNothing);
  auto both = differentiate(model, examples, 2, make_whole(*model));
  auto alone = differentiate(model, {examples[0]}, 2, make_whole(*model));
  EXPECT_NEAR(both.loss, alone.loss, 1e-6);
  for (const auto& [place, parameter] : both.learned.whole) {
    const Parameter& other = alone.learned.whole.at(place);
    for (size_t i = 0; i < other.gradient.size(); ++i)
      EXPECT_NEAR(parameter.gradient[i], other.gradient[i], 1e-6f) << parameter.name;
  }
}

// An adapter's gradients follow from those of the matrix that it is added to: of W + s B A,
// dB = s dW A^T, dA = s B^T dW.
TEST(NetworkTest, GradientsOfAnAdapterAreThoseOfItsMatrix) {
  const auto model = open_checkpoint(fs::path(TESSERA_TEST_DATA) / "folders/phi3");
  for (const TensorRole role : {TensorRole::kQueryKeyValue, TensorRole::kUp, TensorRole::kDown}) {
    const StoredTensor& tensor = model->require({role, 1});
    const int rows = static_cast<int>(tensor.rows()), columns = static_cast<int>(tensor.columns());
    Learned adapter;
    LowRankPair& pair = adapter.low_rank[tensor.place];
    pair = {Parameter("a", 2, columns), Parameter("b", rows, 2), 0.5f};
    pair.down.values = random_floats(pair.down.values.size(), 1, 0.3f);
    pair.up.values = random_floats(pair.up.values.size(), 2, 0.3f);
    Learned merged;
    Parameter& whole = merged.whole[tensor.place] = Parameter("w", rows, columns);
    whole.values = decoded(tensor);
    const auto at = [&](int r, int c) { return static_cast<size_t>(r * columns + c); };
    const auto a = [&](int k, int c) { return pair.down.values[at(k, c)]; };
    const auto b = [&](int r, int k) { return pair.up.values[static_cast<size_t>(2 * r + k)]; };
    for (int r = 0; r < rows; ++r)
      for (int c = 0; c < columns; ++c)
        whole.values[at(r, c)] += 0.5f * (b(r, 0) * a(0, c) + b(r, 1) * a(1, c));
    const auto expected = differentiate(model, two_texts(), 2, std::move(merged));
    const auto found = differentiate(model, two_texts(), 2, adapter);
    EXPECT_NEAR(found.loss, expected.loss, 1e-5);
    const std::vector<float>& dw = expected.learned.whole.at(tensor.place).gradient;
    const LowRankPair& learned = found.learned.low_rank.at(tensor.place);
    for (int k = 0; k < 2; ++k) {
      for (int r = 0; r < rows; ++r) {
        double sum = 0;
        for (int c = 0; c < columns; ++c)
          sum += 0.5 * static_cast<double>(dw[at(r, c)]) * static_cast<double>(a(k, c));
        EXPECT_NEAR(static_cast<double>(learned.up.gradient[static_cast<size_t>(2 * r + k)]), sum,
                    1e-5);
      }
      for (int c = 0; c < columns; ++c) {
        double sum = 0;
        for (int r = 0; r < rows; ++r)
          sum += 0.5 * static_cast<double>(dw[at(r, c)]) * static_cast<double>(b(r, k));
        EXPECT_NEAR(static_cast<double>(learned.down.gradient[at(k, c)]), sum, 1e-5);
      }
    }
  }
}

// In which keys and values are f16; there is no other difference.
TEST(NetworkTest, LossIsThatOfTheModelThatServes) {
  for (const char* name : {"llama", "gemma2", "cohere2", "bloom", "phi3"}) {
    const fs::path folder = fs::path(TESSERA_TEST_DATA) / "folders" / name;
    const std::vector<Example> examples = two_texts();
    ModelRunner runner(folder);
    double expected = 0;
    for (const Example& example : examples) {
      const auto logits = runner.run_text(example.tokens);
      for (size_t i = 0; i < logits.size(); ++i) {
        double sum = 0;
        for (const float logit : logits[i]) sum += std::exp(static_cast<double>(logit));
        expected +=
            std::log(sum) - static_cast<double>(logits[i][static_cast<size_t>(example.targets[i])]);
      }
    }
    ThreadPool pool(2);
    Learned learned;
    Network network(open_checkpoint(folder), pool, rows_of(examples), learned);
    EXPECT_NEAR(network.loss(examples) / expected, 1, 2e-4) << name;
  }
}

// However weights are stored: panels of a matrix are decoded by threads, from sources that put them
// together, with columns in another order.
TEST(NetworkTest, QuantizedWeightsAreWhatTheyDecodeTo) {
  for (const char* name : {"nf4", "gptq-order", "awq", "hqq", "compressed-nvfp4", "fp8-block"}) {
    const auto model = open_checkpoint(fs::path(TESSERA_TEST_DATA) / "quantized" / name);
    ThreadPool pool(2);
    Learned nothing, everything = make_whole(*model);
    const std::vector<Example> examples = two_texts();
    Network stored(model, pool, rows_of(examples), nothing);
    Network decoded_before(model, pool, rows_of(examples), everything);
    EXPECT_EQ(stored.loss(examples), decoded_before.loss(examples)) << name;
  }
}

TEST(NetworkTest, RefusesExamplesThatAreNotTheModels) {
  const auto model = open_checkpoint(fs::path(TESSERA_TEST_DATA) / "folders/gpt2");
  ThreadPool pool(1);
  Learned learned;
  Network network(model, pool, 80, learned);
  const std::vector<Example> longer = {plain_example(std::vector<Token>(70, 5))},
                             foreign = {plain_example(std::vector<Token>{5, 64, 5})},
                             target = {plain_example(std::vector<Token>{5, 5, 64})},
                             nothing = {plain_example(std::vector<Token>{5, -1, 5})};
  EXPECT_EQ(error_of([&] { network.loss(longer); }),
            "an example of 69 tokens does not fit the model's context of 64");
  EXPECT_EQ(error_of([&] { network.loss(foreign); }),
            "token 64 of an example is none of the model's 64");
  EXPECT_EQ(error_of([&] { network.loss(target); }),
            "token 64 of an example is none of the model's 64");
  EXPECT_EQ(error_of([&] { network.loss(nothing); }),
            "token -1 of an example is none of the model's 64");
}

TEST(NetworkTest, NamesWhatItCannotTrain) {
  const std::pair<std::string, std::string> kinds[] = {
      {"mixtral", "mixtures of experts"},       {"qwen35", "recurrent layers"},
      {"gemma4", "per-layer inputs"},           {"deepseek-v3", "multi-head latent attention"},
      {"stablelm-heads", "norms of each head"}, {"cohere-plus", "norms of each head"}};
  for (const auto& kind : kinds) {
    const auto model = open_checkpoint(fs::path(TESSERA_TEST_DATA) / "folders" / kind.first);
    ThreadPool pool(1);
    Learned learned;
    const std::string error = error_of([&] { Network(model, pool, 8, learned); });
    EXPECT_THAT(error, testing::HasSubstr("cannot be trained yet")) << kind.first;
    EXPECT_THAT(error, testing::EndsWith("no way back through " + kind.second));
  }
}

// There are no dense models of Llama 4 yet; one would have its chunks and no experts.
TEST(NetworkTest, DoesNotTrainChunksAsIfTheyWereNone) {
  const test::TempFolder folder;
  const auto model = open_checkpoint(write_tiny_model({.architecture = "llama4"}, folder.path()));
  Config config = read_config(*model);
  for (LayerConfig& layer : config.layers) layer.experts.count = 0;
  config.query_growth = 0;
  EXPECT_THAT(error_of([&] { require_trainable(*model, config); }),
              testing::EndsWith("no way back through attention to chunks"));
}

}  // namespace
}  // namespace tessera::train
