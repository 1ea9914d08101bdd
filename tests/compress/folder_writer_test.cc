// From GGUF to a Hugging Face folder and back: the same tensors, facts and tokens.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "compress/calibration_support.h"
#include "compress/quantize.h"
#include "files/open.h"
#include "paths.h"
#include "support/error_of.h"
#include "support/model_runner.h"
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
  static nlohmann::json config_of(const fs::path& folder) {
    return nlohmann::json::parse(test::read_bytes(folder / "config.json"));
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
    auto shape = same->shape;  // of one row, where GGUF has a vector
    if (tensor.place.role == TensorRole::kSharedExpertRouter) shape.resize(tensor.shape.size());
    EXPECT_EQ(shape, tensor.shape) << tensor.name;
    const auto expected = values_of(tensor), found = values_of(*same);
    for (size_t i = 0; i < expected.size(); ++i)  // Gemma's norms lose a bit with their 1
      ASSERT_NEAR(found[i], expected[i], 2e-5f * std::max(1.0f, std::abs(expected[i])))
          << tensor.name;
  }
  for (const char* fact :
       {"block_count", "embedding_length", "feed_forward_length", "context_length",
        "attention.head_count", "attention.head_count_kv", "expert_count", "expert_used_count"})
    EXPECT_EQ(folder->facts().get_int(fact), gguf->facts().get_int(fact)) << fact;
  const auto a = gguf->read_tokenizer(), b = folder->read_tokenizer();
  EXPECT_EQ(a.vocabulary.texts, b.vocabulary.texts);
  EXPECT_EQ(a.vocabulary.eos_token_id, b.vocabulary.eos_token_id);
  EXPECT_EQ(gguf->read_chat_templates().standard, folder->read_chat_templates().standard);
}

TEST_P(FolderWriterTest, AnswersAlike) {
  if (GetParam().experts == 0 && !GetParam().architecture.ends_with("moe"))
    GTEST_SKIP() << "no mixture: other tests have it";
  const fs::path source = write_tiny_model(GetParam(), folder_.path());
  const std::vector<Token> tokens = random_tokens(40, 300, 3);
  EXPECT_EQ(test::logits_of(to_folder(source, "F32"), tokens), test::logits_of(source, tokens));
}

INSTANTIATE_TEST_SUITE_P(
    All, FolderWriterTest,
    testing::Values(TinyModelSpec{.architecture = "llama"},
                    TinyModelSpec{.architecture = "llama", .rope_scaling = "linear", .tied = true},
                    TinyModelSpec{.architecture = "qwen2", .rope_scaling = "yarn"},
                    TinyModelSpec{.architecture = "qwen3"}, TinyModelSpec{.architecture = "gemma2"},
                    TinyModelSpec{.architecture = "gemma3"}, TinyModelSpec{.architecture = "gemma"},
                    TinyModelSpec{.architecture = "smollm3"},
                    TinyModelSpec{.architecture = "olmo2", .rope_scaling = "yarn"},
                    TinyModelSpec{.architecture = "olmo2", .window = -1},
                    TinyModelSpec{.architecture = "granite"},
                    TinyModelSpec{.architecture = "qwen3moe"},
                    TinyModelSpec{.architecture = "qwen2moe"},
                    TinyModelSpec{.architecture = "llama", .experts = 4, .experts_used = 2},
                    TinyModelSpec{.architecture = "phi3", .rope_scaling = "longrope"}));

// From folder to folder: Llama 3's factors and Gemma 3's two ropes among them.
TEST_F(FolderWriterTest, FoldersAreWrittenAgain) {
  for (const char* name :
       {"llama-scaled", "llama-biased", "mistral", "qwen2", "gemma2", "gemma3", "phi3", "gemma",
        "smollm3", "olmo2", "olmo3", "granite", "mixtral", "qwen2-moe", "qwen3-moe"}) {
    const auto source = fs::path(TESSERA_TEST_DATA) / "folders" / name;
    const auto out = folder_ / (std::string(name) + "/");
    quantize_file(source, {.format = "BF16", .threads = 2}, out);
    const auto before = open_checkpoint(source), after = open_checkpoint(out);
    ASSERT_EQ(after->tensors().size(), before->tensors().size()) << name;
    for (const StoredTensor& tensor : before->tensors()) {
      const auto expected = values_of(tensor), found = values_of(after->require(tensor.place));
      for (size_t i = 0; i < expected.size(); ++i)
        ASSERT_NEAR(found[i], expected[i], 1e-4f * std::max(1.0f, std::abs(expected[i])))
            << name << " " << tensor.name;
    }
    for (const char* fact :
         {"rope.freq_base", "rope.freq_base_swa", "attention.scale", "rope.scaling.factor",
          "rope.scaling.yarn_attn_factor", "rope.scaling.attn_factor", "attn_logit_softcapping",
          "embedding_scale", "residual_scale", "logit_scale"}) {
      const double expected = before->facts().get_float(fact).value_or(-1);
      EXPECT_NEAR(after->facts().get_float(fact).value_or(-1), expected, 1e-5 * std::abs(expected))
          << name << " " << fact;
    }
    for (const char* fact : {"attention.sliding_window", "attention.sliding_window_pattern",
                             "rope.dimension_count", "rope.scaling.original_context_length"})
      EXPECT_EQ(after->facts().get_int(fact), before->facts().get_int(fact)) << name << " " << fact;
  }
}

// A Mistral of windows is none that transformers would read as Llama.
TEST_F(FolderWriterTest, WindowsMakeAnotherFamily) {
  const fs::path source = folder_ / "mistral";
  fs::copy(fs::path(TESSERA_TEST_DATA) / "folders" / "mistral", source,
           fs::copy_options::recursive);
  folder_.write("mistral/tokenizer.json",
                R"({"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
                    "decoder": {"type": "ByteLevel"},
                    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}})");
  const fs::path gguf = folder_ / "mistral.gguf", out = folder_ / "out/";
  quantize_file(source, {.format = "F16", .threads = 2}, gguf);
  quantize_file(gguf, {.format = "F16", .threads = 2}, out);
  EXPECT_EQ(config_of(out)["model_type"], "mistral");
  EXPECT_EQ(open_checkpoint(out)->facts().get_int("attention.sliding_window"),
            open_checkpoint(source)->facts().get_int("attention.sliding_window"));
}

// What llama.cpp's files leave to the family: Gemma divides by its heads' length.
TEST_F(FolderWriterTest, GemmasScaleIsWritten) {
  const fs::path source = write_tiny_model({.architecture = "gemma3"}, folder_.path());
  const auto model = open_checkpoint(source);
  if (model->facts().get_float("attention.scale")) GTEST_SKIP() << "it says so itself";
  const auto config = config_of(to_folder(source, "F16"));
  EXPECT_EQ(config["query_pre_attn_scalar"], config["head_dim"]);
}

TEST_F(FolderWriterTest, NothingOfAnotherModelStays) {
  const fs::path source = write_tiny_model({.architecture = "llama"}, folder_.path());
  const fs::path out = folder_ / "out";
  fs::copy(fs::path(TESSERA_TEST_DATA) / "folders" / "llama", out, fs::copy_options::recursive);
  folder_.write("out/hf_quant_config.json", "{}");
  ASSERT_TRUE(fs::exists(out / "model.safetensors.index.json"));
  quantize_file(source, {.format = "F16", .overwrite = true, .threads = 2}, out);
  EXPECT_FALSE(fs::exists(out / "model.safetensors.index.json"));
  EXPECT_FALSE(fs::exists(out / "hf_quant_config.json"));
  EXPECT_EQ(open_checkpoint(out)->tensors().size(), open_checkpoint(source)->tensors().size());
}

TEST_F(FolderWriterTest, ASourceIsNotOverwritten) {
  const fs::path source = folder_ / "source";
  fs::copy(fs::path(TESSERA_TEST_DATA) / "folders" / "llama", source, fs::copy_options::recursive);
  for (const char* end : {"", "/", "/."}) {
    EXPECT_THAT(error_of([&] {
                  quantize_file(source, {.format = "F16", .overwrite = true, .threads = 2},
                                source.string() + end);
                }),
                HasSubstr("is the source itself"))
        << end;
  }
}

// The end tokens that only config.json says, and templates in a folder of their own.
TEST_F(FolderWriterTest, FoldersKeepWhatTheySay) {
  const fs::path source = folder_ / "source", out = folder_ / "out/";
  fs::copy(fs::path(TESSERA_TEST_DATA) / "folders" / "llama", source, fs::copy_options::recursive);
  fs::remove(source / "generation_config.json");
  auto config = config_of(source);
  config["eos_token_id"] = {2, 7, 9};
  folder_.write("source/config.json", config.dump());
  fs::create_directory(source / "additional_chat_templates");
  folder_.write("source/additional_chat_templates/tool_use.jinja", "{{ 1 }}");
  quantize_file(source, {.format = "F16", .threads = 2}, out);
  EXPECT_EQ(config_of(out)["eos_token_id"], config["eos_token_id"]);
  EXPECT_TRUE(fs::exists(out / "additional_chat_templates" / "tool_use.jinja"));
}

TEST_F(FolderWriterTest, WhatAFolderCannotSay) {
  const auto error = [&](const TinyModelSpec& spec, const std::string& format) {
    return error_of([&] { to_folder(write_tiny_model(spec, folder_.path()), format); });
  };
  EXPECT_THAT(error({}, "Q8_0"), HasSubstr("F32, F16 or BF16, not in Q8_0"));
  EXPECT_THAT(error({.uneven_layers = true}, "F16"), HasSubstr("differs by layer"));
  EXPECT_THAT(error({.architecture = "gpt2"}, "F16"),
              HasSubstr("'gpt2' cannot be written as a Hugging Face folder"));
  EXPECT_THAT(error({.architecture = "gpt-oss"}, "F16"),
              HasSubstr("'gpt-oss' cannot be written as a Hugging Face folder yet"));
}

}  // namespace
}  // namespace tessera
