// Models as Hugging Face's transformers saved them answer what transformers answered.
// tests/tools/make_folder_goldens.py made them, make_quantized_folders.py those that are quantized.
#include "files/huggingface/folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "paths.h"
#include "support/model_runner.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class FolderGoldenTest : public testing::TestWithParam<std::string> {
 protected:
  const fs::path folder_ = fs::path(TESSERA_TEST_DATA) / "folders" / GetParam();

  json answer() const { return json::parse(std::ifstream(folder_ / "answer.json")); }
};

// KL divergence of softmax(found) from softmax(expected), in nats.
double divergence(std::span<const float> expected, std::span<const float> found) {
  const auto log_softmax = [](std::span<const float> logits) {
    const double most = *std::ranges::max_element(logits);
    double sum = 0;
    for (const float logit : logits) sum += std::exp(logit - most);
    std::vector<double> result;
    for (const float logit : logits) result.push_back(logit - most - std::log(sum));
    return result;
  };
  const auto p = log_softmax(expected), q = log_softmax(found);
  double sum = 0;
  for (size_t i = 0; i < p.size(); ++i) sum += std::exp(p[i]) * (p[i] - q[i]);
  return sum;
}

// Weights and activations are f32 there and here, keys and values f16.
constexpr double kMostDivergence = 1e-6;

TEST_P(FolderGoldenTest, AnswersAsTransformersDoes) {
  const json expected = answer();
  const auto tokens = expected["tokens"].get<std::vector<Token>>();
  ModelRunner runner(folder_);
  const auto logits = runner.run_text(tokens);
  const auto last = expected["logits"][1].get<std::vector<float>>();
  const std::span<const float> found(logits[tokens.size() - 1]);
  ASSERT_EQ(found.size(), last.size());
  EXPECT_LT(divergence(last, found), kMostDivergence);
  const auto early = expected["logits"][0].get<std::vector<float>>();
  EXPECT_LT(divergence(early, logits[7]), kMostDivergence);
}

INSTANTIATE_TEST_SUITE_P(All, FolderGoldenTest,
                         testing::Values("llama", "llama-scaled", "llama-biased", "mistral",
                                         "qwen2", "qwen3", "gemma2", "gemma3", "phi3"),
                         [](const auto& kind) {
                           std::string name = kind.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

// Layers as the official packages quantize them. Where their codes meet activations of int8, these
// round.
class QuantizedFolderTest : public testing::TestWithParam<std::pair<std::string, double>> {};

TEST_P(QuantizedFolderTest, AnswersAsTransformersDoesWithTheDecodedWeights) {
  const auto& [name, most] = GetParam();
  const fs::path folder = fs::path(TESSERA_TEST_DATA) / "quantized" / name;
  const json expected = json::parse(std::ifstream(folder / "answer.json"));
  const auto tokens = expected["tokens"].get<std::vector<Token>>();
  ModelRunner runner(folder);
  const auto logits = runner.run_text(tokens);
  const size_t rows[] = {7, tokens.size() - 1};
  for (size_t i = 0; i < 2; ++i) {
    const auto row = expected["logits"][i].get<std::vector<float>>();
    EXPECT_LT(divergence(row, logits[rows[i]]), most) << rows[i];
  }
}

constexpr double kInt8 = 1e-3;
constexpr double kBf16 = 1e-4;  // compressed-tensors rounds code * scale to bf16; here it is exact
INSTANTIATE_TEST_SUITE_P(All, QuantizedFolderTest,
                         testing::Values(std::pair("gptq", kInt8), std::pair("gptq-order", kInt8),
                                         std::pair("awq", kInt8), std::pair("nf4", kInt8),
                                         std::pair("int8", kInt8), std::pair("hqq", kInt8),
                                         std::pair("compressed", kInt8), std::pair("fp8", kBf16)),
                         [](const auto& kind) {
                           std::string name = kind.param.first;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace tessera
