// Scales that move between channels change nothing of what a model computes, in any family.
#include "compress/scalings/scaling.h"
#include "compress/calibration_support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "compress/quantize.h"
#include "files/gguf/reader.h"
#include "files/open.h"
#include "support/error_of.h"
#include "support/model_runner.h"
#include "support/oracle.h"
#include "support/random_floats.h"
#include "support/temp_folder.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

using testing::HasSubstr;

std::vector<float> values_of(const StoredTensor& tensor) {
  std::vector<float> values(tensor.elements());
  tensor.decode(0, tensor.rows(), values);
  return values;
}

using enum TensorRole;

struct Family {
  std::string name;
  TinyModelSpec spec;
  // What stays as it is, where there is no norm, one that two read, or no gate.
  std::vector<TensorRole> still = {};
  // Where layer 1 is a recurrence: what moves of it.
  std::vector<TensorRole> recurrence = {};
};

class Scalings : public testing::TestWithParam<Family> {
 protected:
  std::filesystem::path smoothed() {
    const auto out = folder_ / "out.gguf";
    quantize_file(source_,
                  {.format = "F32",
                   .method = "smoothquant",
                   .calibration = test::some_text(60),
                   .calibration_length = 64},
                  out);
    return out;
  }

  test::TempFolder folder_;
  std::filesystem::path source_ = write_tiny_model(GetParam().spec, folder_.path());
};

// In double, from the weights of both files: what is left is a rounding of each weight to f32. The
// oracle knows no recurrences: those in floats, with values kept in f16.
TEST_P(Scalings, AreExact) {
  const auto tokens = random_tokens(70, with_defaults(GetParam().spec).vocabulary, 5);
  if (!GetParam().recurrence.empty()) {
    const auto before = test::logits_of(source_, tokens),
               after = test::logits_of(smoothed(), tokens);
    const float largest = std::ranges::max(before, {}, [](float x) { return std::abs(x); });
    for (size_t i = 0; i < before.size(); ++i)
      ASSERT_NEAR(after[i], before[i], 2e-3f * std::abs(largest));
    return;
  }
  const auto before = oracle_logits(GgufFile::open(source_), tokens);
  const auto after = oracle_logits(GgufFile::open(smoothed()), tokens);
  double largest = 0, difference = 0;
  for (size_t t = 0; t < tokens.size(); ++t) {
    for (size_t v = 0; v < before[t].size(); ++v) {
      largest = std::max(largest, std::abs(before[t][v]));
      difference = std::max(difference, std::abs(before[t][v] - after[t][v]));
    }
  }
  EXPECT_LE(difference, 2e-6 * largest);
}

// Or the test above would hold for nothing: each of the four places moves scales.
TEST_P(Scalings, Move) {
  const auto before = open_checkpoint(source_), after = open_checkpoint(smoothed());
  const bool fused = before->find({kQueryKeyValue, 0}) != nullptr;
  std::vector<TensorRole> roles = {
      kAttentionNorm, fused ? kQueryKeyValue : kValue, kAttentionOutput, kFeedForwardNorm, kUp,
      kDown};
  if (!GetParam().recurrence.empty()) roles = GetParam().recurrence;
  for (const TensorRole role : roles) {
    const bool is_still = std::ranges::count(GetParam().still, role) > 0;
    if (is_still && before->find({role, 1}) == nullptr) continue;
    const auto x = values_of(before->require({role, 1})), y = values_of(after->require({role, 1}));
    size_t moved = 0;
    for (size_t i = 0; i < x.size(); ++i) moved += std::abs(y[i] - x[i]) > 0.01f * std::abs(x[i]);
    if (is_still) {
      EXPECT_EQ(moved, 0U) << static_cast<int>(role);
    } else {
      EXPECT_GT(moved, x.size() / 2) << static_cast<int>(role);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Families, Scalings,
    testing::Values(
        Family{"llama", {.architecture = "llama"}},
        Family{"biased", {.architecture = "llama", .attention_output_bias = true}},
        Family{"no_groups", {.architecture = "llama", .heads = 4, .kv_heads = 4}},
        Family{"uneven", {.architecture = "llama", .uneven_layers = true}},
        Family{"uneven_heads", {.architecture = "llama", .uneven_kv_heads = true}},
        Family{"qwen2", {.architecture = "qwen2"}}, Family{"qwen3", {.architecture = "qwen3"}},
        Family{"gemma2", {.architecture = "gemma2"}}, Family{"gemma3", {.architecture = "gemma3"}},
        Family{"phi3", {.architecture = "phi3"}},
        Family{"qwen3moe", {.architecture = "qwen3moe"}, {kFeedForwardNorm, kUp, kDown}},
        Family{"olmo2", {.architecture = "olmo2"}, {kAttentionNorm, kFeedForwardNorm}},
        Family{"gpt2", {.architecture = "gpt2"}, {kDown}},
        Family{"gptneox", {.architecture = "gptneox"}, {kDown}},
        Family{"cohere2", {.architecture = "cohere2"}, {kAttentionNorm, kFeedForwardNorm}},
        Family{"qwen35",
               {.architecture = "qwen35"},
               {},
               {kAttentionNorm, kQueryKeyValue, kRecurrentGate, kRecurrentStep, kRecurrentRate,
                kRecurrentNorm, kRecurrentOutput, kPostAttentionNorm, kUp, kDown}},
        Family{"qwen3next",
               {.architecture = "qwen3next"},
               {},
               {kAttentionNorm, kQueryKeyValue, kRecurrentRateAndStep, kRecurrentNorm,
                kRecurrentOutput}},
        Family{"lfm2",
               {.architecture = "lfm2"},
               {},
               {kAttentionNorm, kConvolutionInput, kConvolutionOutput, kFeedForwardNorm, kDown}},
        Family{"granitehybrid",
               {.architecture = "granitehybrid"},
               {},
               {kAttentionNorm, kRecurrentInput, kRecurrentNorm, kRecurrentOutput}},
        Family{"mamba2",
               {.architecture = "mamba2"},
               {},
               {kAttentionNorm, kRecurrentInput, kRecurrentNorm, kRecurrentOutput}}),
    [](const auto& instance) { return instance.param.name; });

TEST(ScaledFiles, DoNotDependOnThreads) {
  test::TempFolder folder;
  const auto source = write_tiny_model({.architecture = "phi3", .layers = 1}, folder.path());
  const std::pair<const char*, const char*> runs[] = {
      {"awq", "Q4_0"}, {"awq+hqq", "Q4_1"}, {"smoothquant+gptq", "Q4_0"}};
  for (const auto& [method, format] : runs) {
    std::vector<std::string> files;
    for (const int threads : {1, 3}) {
      const auto out = folder / "out.gguf";
      quantize_file(source,
                    {.format = format,
                     .overwrite = true,
                     .threads = threads,
                     .method = method,
                     .calibration = test::some_text(60),
                     .calibration_length = 64},
                    out);
      files.push_back(test::read_bytes(out));
    }
    EXPECT_EQ(files[0], files[1]) << method;
  }
}

// The moments of scaled inputs follow from those of the inputs.
TEST(ScaledMoments, AreThoseOfTheScaledInputs) {
  const int n = 48, rows = 20;
  ThreadPool pool(2);
  const Floats x = random_floats(rows * n, 1);
  Floats scales = random_floats(n, 2), divided(x.size());
  for (float& scale : scales) scale = std::exp(scale);
  for (size_t i = 0; i < x.size(); ++i) divided[i] = x[i] / scales[i % n];
  InputMoments moved(n, InputMoments::Kind::kHessian), there(n, InputMoments::Kind::kHessian);
  moved.add(HostRows(x.data(), rows, n, n), pool);
  moved.divide(scales);
  there.add(HostRows(divided.data(), rows, n, n), pool);
  const auto near = [](auto a, auto b) {
    for (size_t i = 0; i < a.size(); ++i) {
      const auto here = static_cast<double>(a[i]), other = static_cast<double>(b[i]);
      EXPECT_NEAR(here, other, 1e-4 * (1 + std::abs(other))) << i;
    }
  };
  near(moved.importance(), there.importance());
  near(moved.mean_magnitudes(), there.mean_magnitudes());
  near(moved.largest_magnitudes(), there.largest_magnitudes());
  near(moved.full_hessian(), there.full_hessian());
}

TEST(ChosenMethods, StandInFrontOfEachOther) {
  EXPECT_EQ(choose_method("awq").scaling, &kAwq);
  EXPECT_EQ(&choose_method("smoothquant+gptq").method, &kGptq);
  EXPECT_EQ(choose_method("hqq+gptq").grid, &kHqq);
  const ChosenMethod all = choose_method("awq+zeropoint+gptq");
  EXPECT_EQ(all.scaling, &kAwq);
  EXPECT_EQ(all.grid, &kZeroPoint);
  EXPECT_EQ(&all.method, &kGptq);
}

TEST(ScalingErrors, AreOneLine) {
  EXPECT_THAT(error_of([&] { choose_method("hqq+wanda"); }), HasSubstr("for gptq, not for wanda"));
  for (const char* name :
       {"rtn+gptq", "awq+smoothquant+gptq", "gptq+gptq", "+gptq", "gptq+", "awq+"})
    EXPECT_THAT(error_of([&] { choose_method(name); }), HasSubstr("unknown method '")) << name;
  EXPECT_THAT(error_of([&] { choose_method("awq+magic"); }), HasSubstr("unknown method 'magic'"));
  EXPECT_THAT(error_of([&] { choose_method("awqgptq"); }), HasSubstr("unknown method 'awqgptq'"));
  EXPECT_THAT(error_of([&] { choose_method("gptq+awq"); }), HasSubstr("in front of one awq and"));
  test::TempFolder folder;
  const auto source = write_tiny_model({}, folder.path());
  const auto out = folder / "out.gguf";
  EXPECT_THAT(error_of([&] { quantize_file(source, {.method = "awq+gptq"}, out); }),
              HasSubstr("the method awq+gptq needs a text to calibrate with"));
  EXPECT_FALSE(std::filesystem::exists(out));
}

}  // namespace
}  // namespace tessera
