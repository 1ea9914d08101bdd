// quantize --lora: W + scale * B A, before it is encoded.
#include "compress/lora_merge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "compress/quantize.h"
#include "files/open.h"
#include "support/error_of.h"
#include "support/temp_folder.h"
#include "support/tiny_lora.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

using testing::HasSubstr;

std::vector<float> decoded(const StoredTensor& tensor) {
  std::vector<float> values(tensor.elements());
  tensor.decode(0, tensor.rows(), values);
  return values;
}

class LoraMergeTest : public testing::TestWithParam<const char*> {
 protected:
  std::filesystem::path quantize(const std::filesystem::path& source, const std::string& format,
                                 std::vector<LoraFile> lora) {
    const auto out = folder_ / ("out" + std::to_string(number_++) + ".gguf");
    QuantizeOptions options;
    options.format = format;
    options.threads = 2;
    options.lora = std::move(lora);
    quantize_file(source, options, out);
    return out;
  }
  test::TempFolder folder_;
  int number_ = 0;
};

TEST_P(LoraMergeTest, WritesWhatTheAdaptersAdd) {
  const auto path = write_tiny_model({.architecture = GetParam(), .format = &kF16}, folder_.path());
  const auto model = open_checkpoint(path);
  const TinyLora one{.seed = 1, .rank = 8}, two{.seed = 2, .rank = 3, .format = &kBF16};
  const std::vector<LoraFile> files = {
      {write_tiny_peft(one, *model, folder_ / "one").string(), 1.0F},
      {write_tiny_gguf_lora(two, *model, folder_ / "two.gguf").string(), -0.5F}};
  const std::pair<TinyLora, float> adapters[] = {{one, 1.0F}, {two, -0.5F}};
  const auto expected =
      open_checkpoint(write_merged_model(*model, adapters, folder_ / "expected.gguf"));
  const auto merged = open_checkpoint(quantize(path, "F32", files));
  ASSERT_EQ(merged->tensors().size(), expected->tensors().size());
  bool changes = false;
  for (size_t t = 0; t < merged->tensors().size(); ++t) {
    const StoredTensor& tensor = merged->tensors()[t];
    ASSERT_EQ(tensor.name, expected->tensors()[t].name);
    const auto values = decoded(tensor), reference = decoded(expected->tensors()[t]);
    const auto before = decoded(model->tensors()[t]);
    for (size_t i = 0; i < values.size(); ++i) {
      ASSERT_NEAR(values[i], reference[i], 1e-6 * (1 + std::abs(reference[i]))) << tensor.name;
      changes |= std::abs(values[i] - before[i]) > 0.01F;
    }
  }
  EXPECT_TRUE(changes);

  // Other formats are what quantizing the merged model gives.
  const auto at_once = open_checkpoint(quantize(path, "Q8_0", files));
  const auto after = open_checkpoint(quantize(merged->paths()[0], "Q8_0", {}));
  for (size_t t = 0; t < at_once->tensors().size(); ++t) {
    const StoredTensor &a = at_once->tensors()[t], &b = after->tensors()[t];
    EXPECT_EQ(a.format, b.format);
    EXPECT_TRUE(std::ranges::equal(a.bytes, b.bytes)) << a.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Architectures, LoraMergeTest,
                         testing::Values("llama", "qwen2", "qwen3", "gemma2", "gemma3", "phi3"),
                         [](const auto& instance) { return std::string(instance.param); });

// A tensor that keeps its format is encoded again, too.
TEST_F(LoraMergeTest, KeepsTheFormat) {
  const auto path = write_tiny_model({.format = &kQ8_0}, folder_.path());
  const auto model = open_checkpoint(path);
  const TinyLora lora{.roles = {TensorRole::kDown}};
  const auto file = write_tiny_peft(lora, *model, folder_ / "adapter").string();
  const auto merged = open_checkpoint(quantize(path, "Q8_0", {{file}}));
  for (size_t t = 0; t < model->tensors().size(); ++t) {
    const StoredTensor &before = model->tensors()[t], &after = merged->tensors()[t];
    EXPECT_EQ(before.format, after.format);
    const bool is_down = before.place.role == TensorRole::kDown;
    EXPECT_EQ(std::ranges::equal(before.bytes, after.bytes), !is_down) << before.name;
  }
}

TEST_F(LoraMergeTest, WhatDoesNotFitIsNamed) {
  const auto path = write_tiny_model({}, folder_.path());
  const auto other =
      open_checkpoint(write_tiny_model({.seed = 2, .embedding = 128}, folder_.path()));
  const auto file = write_tiny_peft({}, *other, folder_ / "adapter").string();
  EXPECT_THAT(error_of([&] { quantize(path, "F16", {{file}}); }), HasSubstr("they must be"));
  EXPECT_THAT(error_of([&] { quantize(path, "F16", {{file + "x"}}); }), HasSubstr("is missing"));
}

}  // namespace
}  // namespace tessera
