// From GGUF to a Hugging Face folder and back: the same tensors, facts and tokens.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "compress/quantize.h"
#include "files/open.h"
#include "support/error_of.h"
#include "support/temp_folder.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

std::vector<float> values_of(const StoredTensor& tensor) {
  std::vector<float> values(tensor.elements());
  tensor.decode(0, tensor.rows(), values);
  return values;
}

class FolderWriterTest : public testing::TestWithParam<TinyModelSpec> {
 protected:
  fs::path to_folder(const fs::path& source, const std::string& format) const {
    const fs::path out = folder_ / "out/";
    quantize_file(source, {.format = format, .threads = 2}, out);
    return out;
  }
  test::TempFolder folder_;
};

TEST_P(FolderWriterTest, SaysWhatTheFileSays) {
  const fs::path source = write_tiny_model(GetParam(), folder_.path());
  const auto gguf = open_checkpoint(source), folder = open_checkpoint(to_folder(source, "F32"));
  EXPECT_EQ(folder->tensors().size(), gguf->tensors().size());
  for (const StoredTensor& tensor : gguf->tensors()) {
    const StoredTensor* same = folder->find(tensor.place);
    ASSERT_NE(same, nullptr) << tensor.name;
    EXPECT_EQ(same->shape, tensor.shape) << tensor.name;
    const auto expected = values_of(tensor), found = values_of(*same);
    for (size_t i = 0; i < expected.size(); ++i)  // Gemma's norms lose a bit with their 1
      ASSERT_NEAR(found[i], expected[i], 2e-5f * std::max(1.0f, std::abs(expected[i]))) << tensor.name;
  }
  for (const char* fact : {"block_count", "embedding_length", "feed_forward_length", "context_length",
                           "attention.head_count", "attention.head_count_kv"})
    EXPECT_EQ(folder->facts().get_int(fact), gguf->facts().get_int(fact)) << fact;
  const auto a = gguf->read_tokenizer(), b = folder->read_tokenizer();
  EXPECT_EQ(a.vocabulary.texts, b.vocabulary.texts);
  EXPECT_EQ(a.vocabulary.eos_token_id, b.vocabulary.eos_token_id);
  EXPECT_EQ(gguf->read_chat_templates().standard, folder->read_chat_templates().standard);
}

INSTANTIATE_TEST_SUITE_P(
    All, FolderWriterTest,
    testing::Values(TinyModelSpec{.architecture = "llama"},
                    TinyModelSpec{.architecture = "llama", .rope_scaling = "llama3"},
                    TinyModelSpec{.architecture = "llama", .rope_scaling = "linear", .tied = true},
                    TinyModelSpec{.architecture = "qwen2", .rope_scaling = "yarn"},
                    TinyModelSpec{.architecture = "qwen3"}, TinyModelSpec{.architecture = "gemma2"},
                    TinyModelSpec{.architecture = "gemma3"},
                    TinyModelSpec{.architecture = "phi3", .rope_scaling = "longrope"}));

TEST_F(FolderWriterTest, WhatAFolderCannotSay) {
  const auto error = [&](const TinyModelSpec& spec, const std::string& format) {
    return error_of([&] { to_folder(write_tiny_model(spec, folder_.path()), format); });
  };
  EXPECT_THAT(error({}, "Q8_0"), HasSubstr("F32, F16 or BF16, not in Q8_0"));
  EXPECT_THAT(error({.uneven_layers = true}, "F16"), HasSubstr("differs by layer"));
}

}  // namespace
}  // namespace tessera
