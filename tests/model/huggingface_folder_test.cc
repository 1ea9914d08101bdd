// Models as Hugging Face's transformers saved them answer what transformers answered.
// tests/tools/make_folder_goldens.py made them, make_quantized_folders.py those that are quantized.
#include "files/huggingface/folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "files/open.h"
#include "model/next_tokens.h"
#include "paths.h"
#include "support/gguf_in_f32.h"
#include "support/model_runner.h"
#include "support/temp_folder.h"
#include "support/test_backend.h"

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

void expect_answer(const json& expected, const fs::path& model) {
  const auto tokens = expected["tokens"].get<std::vector<Token>>();
  ModelRunner runner(model);
  const auto logits = runner.run_text(tokens);
  const auto last = expected["logits"][1].get<std::vector<float>>();
  const std::span<const float> found(logits[tokens.size() - 1]);
  ASSERT_EQ(found.size(), last.size());
  EXPECT_LT(divergence(last, found), kMostDivergence);
  const auto early = expected["logits"][0].get<std::vector<float>>();
  EXPECT_LT(divergence(early, logits[7]), kMostDivergence);
}

// llama.cpp does not open a mixture without (script/compare-families).
TEST_P(FolderGoldenTest, SaysHowLongItsExpertsAre) {
  const auto model = open_checkpoint(folder_);
  const Facts& facts = model->facts();
  if (facts.get_int("expert_count").value_or(0) == 0) GTEST_SKIP() << "no mixture of experts";
  EXPECT_GT(facts.get_int("expert_feed_forward_length").value_or(0), 0);
}

TEST_P(FolderGoldenTest, AnswersAsTransformersDoes) {
  expect_answer(answer(), folder_);
}

TEST_P(FolderGoldenTest, AsAGgufFileItAnswersTheSame) {
  const test::TempFolder folder;
  expect_answer(answer(), test::folder_as_gguf(folder_, folder));
}

INSTANTIATE_TEST_SUITE_P(
    All, FolderGoldenTest,
    testing::Values("llama", "llama-scaled", "llama-biased", "mistral", "qwen2", "qwen3", "gemma2",
                    "gemma3", "phi3", "gemma", "smollm3", "olmo2", "olmo3", "granite", "seed-oss",
                    "exaone4", "exaone4-global", "ministral3", "qwen2-vl", "qwen3-vl", "gpt2",
                    "opt", "gpt-neox", "gpt-neox-in-turn", "phi", "starcoder2", "stablelm",
                    "stablelm-parallel", "cohere", "cohere2", "falcon", "falcon-grouped", "bloom",
                    "bloom-3-heads", "mpt", "mixtral", "qwen2-moe", "qwen3-moe", "glm4-moe",
                    "deepseek-v3", "gpt-oss", "qwen35", "qwen35-moe", "qwen3-next", "lfm2",
                    "lfm2-moe", "granite-hybrid", "granite-hybrid-moe", "nemotron-h", "gemma4",
                    "gemma4-moe", "glm4-moe-lite", "olmoe", "minimax-m2", "llama4", "llama4-plain",
                    "cohere-plus", "stablelm-heads", "falcon-two-norms", "qwen35-mtp",
                    "qwen3-next-mtp", "glm4-moe-mtp", "deepseek-v3-mtp", "mamba2", "nemotron-h-moe",
                    "nemotron-h-latent", "deepseek-v2", "deepseek-v2-lite", "deepseek-v3-fp8",
                    "mamba2-state-spaces", "falcon-h1", "falcon-h1-norm"),
    [](const auto& kind) {
      std::string name = kind.param;
      std::ranges::replace(name, '-', '_');
      return name;
    });

// The layer for further tokens foretells what the same parts of transformers do.
class FurtherTokensTest : public FolderGoldenTest {
 protected:
  static constexpr int kRows = 23;  // of the text's tokens all but the first

  static std::vector<float> foretold(const fs::path& path, const std::vector<Token>& tokens,
                                     std::vector<int32_t> wanted) {
    const auto checkpoint = open_checkpoint(path);
    ModelRunner runner(checkpoint, {});
    runner.run_text(tokens);
    const HostRows rows = runner.model().backend().download(runner.model().hidden_states(0, kRows));
    std::vector<float> hidden;
    for (int r = 0; r < kRows; ++r)
      hidden.insert(hidden.end(), rows.row(r).begin(), rows.row(r).end());
    NextTokens next(checkpoint, runner.model());
    const std::vector<int32_t> table = {0};
    const auto kv = next.make_kv(1);
    Batch batch;
    batch.add_chain(std::span(tokens).subspan(1, kRows), 0, table);
    batch.wanted = std::move(wanted);
    return next.forward(batch, hidden, *kv).logits;
  }

  void expect_foretold(const fs::path& path) const {
    const json expected = answer();
    const auto tokens = expected["tokens"].get<std::vector<Token>>();
    ASSERT_EQ(tokens.size(), kRows + 1);
    const std::vector<float> found = foretold(path, tokens, {7, kRows - 1});
    for (size_t i = 0; i < 2; ++i) {
      const auto row = expected["next"][i].get<std::vector<float>>();
      ASSERT_EQ(found.size(), 2 * row.size());
      EXPECT_LT(divergence(row, std::span(found).subspan(i * row.size(), row.size())),
                kMostDivergence);
    }
  }
};

TEST_P(FurtherTokensTest, AreForetoldAsTransformersPartsDo) {
  expect_foretold(folder_);
}

TEST_P(FurtherTokensTest, AreForetoldByTheGgufFileThatIsMadeOfIt) {
  const test::TempFolder folder;
  expect_foretold(test::folder_as_gguf(folder_, folder));
}

INSTANTIATE_TEST_SUITE_P(All, FurtherTokensTest,
                         testing::Values("qwen35-mtp", "qwen3-next-mtp", "glm4-moe-mtp",
                                         "deepseek-v3-mtp"),
                         [](const auto& kind) {
                           std::string name = kind.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

// Layers as the official packages quantize them.
struct Quantized {
  std::string name;
  // Against transformers with the values that the package reads, in f32 (the reference backend):
  double in_f32;
  double here;  // and on the CPU
};

constexpr double kExact = 1e-6;
constexpr double kF16 = 3e-6;   // the package rounds code * scale to f16,
constexpr double kBf16 = 1e-4;  // or to bf16; here it is exact
constexpr double kInt8 = 1e-3;  // codes meet activations of int8

class QuantizedFolderTest : public testing::TestWithParam<Quantized> {};

TEST_P(QuantizedFolderTest, AnswersAsTransformersDoesWithTheDecodedWeights) {
  const auto& [name, in_f32, here] = GetParam();
  const fs::path folder = fs::path(TESSERA_TEST_DATA) / "quantized" / name;
  const json expected = json::parse(std::ifstream(folder / "answer.json"));
  const auto tokens = expected["tokens"].get<std::vector<Token>>();
  ModelRunner runner(folder);
  const auto logits = runner.run_text(tokens);
  const size_t rows[] = {7, tokens.size() - 1};
  for (size_t i = 0; i < 2; ++i) {
    const auto row = expected["logits"][i].get<std::vector<float>>();
    EXPECT_LT(divergence(row, logits[rows[i]]), on_reference_backend() ? in_f32 : here) << rows[i];
  }
}

INSTANTIATE_TEST_SUITE_P(All, QuantizedFolderTest,
                         testing::ValuesIn(std::vector<Quantized>{
                             {"gptq", kF16, kInt8},
                             {"gptq-order", kF16, kInt8},
                             {"gptq-2bit", kExact, kInt8},
                             {"gptq-3bit", kF16, kInt8},
                             {"gptq-8bit", kF16, kInt8},
                             {"gptq-v2", kF16, kInt8},
                             {"awq", kF16, kInt8},
                             {"awq-gemv", kF16, kInt8},
                             {"nf4", kExact, kInt8},
                             {"fp4", kExact, kInt8},
                             {"int8", kExact, kInt8},
                             {"hqq", kF16, kInt8},
                             {"hqq-2bit", kF16, kInt8},
                             {"hqq-3bit", kF16,
                              1.2e-3},  // 64 columns are few for int8 activations to even out
                             {"hqq-8bit", kF16, kInt8},
                             {"hqq-axis0", kExact, kExact},
                             {"compressed", kF16, kInt8},
                             {"compressed-asymmetric", kF16, kInt8},
                             {"compressed-int8", kBf16, kInt8},
                             {"compressed-fp8-tensor", kBf16, kBf16},
                             {"compressed-fp8-block", kBf16, kBf16},
                             {"compressed-nvfp4", kBf16, kInt8},
                             {"compressed-mxfp4", kExact, kInt8},
                             {"sparse24", kExact, kExact},
                             {"sparse24-fp8", 2e-4, 2e-4},  // rounded to bf16
                             {"fp8", kBf16, kBf16},
                             {"fp8-tensor", kExact, kExact},
                             {"fp8-rows", kExact, kExact},
                             {"fp8-block", kExact, kExact},
                             {"modelopt-nvfp4", kExact, kInt8},
                             {"torchao-int4", kExact, kInt8},
                             {"torchao-int8", kBf16, kInt8},
                             {"bitnet", kExact, kInt8},
                             {"bitnet-auto", kExact, kInt8},
                         }),
                         [](const auto& kind) {
                           std::string name = kind.param.name;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace tessera
