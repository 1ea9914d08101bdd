#include "model/next_tokens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "files/open.h"
#include "support/eagle_draft.h"
#include "support/error_of.h"
#include "support/model_runner.h"
#include "support/random_floats.h"
#include "support/rewritten_gguf.h"
#include "support/temp_folder.h"
#include "support/test_backend.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;

constexpr int kEmbedding = 64, kVocabulary = 320, kLayers = 5;

std::vector<float> floats_of(const StoredTensor& tensor) {
  std::vector<float> values(tensor.elements());
  tensor.decode(0, tensor.rows(), values);
  return values;
}

std::vector<float> normalized(std::span<const float> row, std::span<const float> weight) {
  double squares = 0;
  for (const float value : row) squares += static_cast<double>(value) * value;
  const double scale = 1 / std::sqrt(squares / static_cast<double>(row.size()) + 1e-6);
  std::vector<float> result;
  for (size_t i = 0; i < row.size(); ++i)
    result.push_back(static_cast<float>(row[i] * scale * weight[i]));
  return result;
}

// Where the projection lets only one of its two inputs through, the layer answers as a model of
// that layer alone does whose embeddings are that input.
class NextTokensTest : public testing::TestWithParam<bool> {
 protected:
  static bool of_tokens() { return GetParam(); }

  fs::path with_projection() {
    return test::rewrite_gguf(
        write_tiny_model({.architecture = "qwen35", .next_token_layers = 1}, folder_.path()),
        folder_ / "next.gguf", {.bytes = [](const StoredTensor& tensor, auto& bytes) {
          if (!tensor.name.ends_with("eh_proj.weight")) return;
          std::vector<float> values(2 * kEmbedding * kEmbedding);
          for (int row = 0; row < kEmbedding; ++row)
            values[static_cast<size_t>(row * 2 * kEmbedding + (of_tokens() ? 0 : kEmbedding) +
                                       row)] = 1;
          std::memcpy(bytes.data(), values.data(), bytes.size());
        }});
  }

  // The layer as a model.
  fs::path alone(const fs::path& path) {
    const auto whole = open_checkpoint(path);
    const std::string prefix = "blk." + std::to_string(kLayers) + ".";
    const auto values = [&](const std::string& name) {
      for (const StoredTensor& tensor : whole->tensors())
        if (tensor.name == name) return floats_of(tensor);
      ADD_FAILURE() << name;
      return std::vector<float>();
    };
    const auto weight =
        values(prefix + (of_tokens() ? "nextn.enorm.weight" : "nextn.hnorm.weight"));
    const auto head_norm = values(prefix + "nextn.shared_head_norm.weight");
    return test::rewrite_gguf(path, folder_ / "alone.gguf",
                              {.metadata =
                                   [](GgufMetadata& metadata) {
                                     metadata.set("qwen35.block_count", {uint32_t{1}});
                                     metadata.set("qwen35.nextn_predict_layers", {uint32_t{0}});
                                     metadata.set("qwen35.attention.recurrent_layers",
                                                  {GgufValue::Array(std::vector<bool>{false})});
                                   },
                               .tensor =
                                   [&](StoredTensor& tensor) {
                                     if (!tensor.name.starts_with("blk.")) return true;
                                     if (!tensor.name.starts_with(prefix)) return false;
                                     tensor.name = "blk.0." + tensor.name.substr(prefix.size());
                                     return tensor.name.find("nextn.") == std::string::npos;
                                   },
                               .bytes =
                                   [&](const StoredTensor& tensor, std::vector<std::byte>& bytes) {
                                     if (tensor.name == "output_norm.weight")
                                       std::memcpy(bytes.data(), head_norm.data(), bytes.size());
                                     if (tensor.name != "token_embd.weight") return;
                                     std::vector<float> table;
                                     const std::vector<float> stored = floats_of(tensor);
                                     for (size_t row = 0; row < stored.size(); row += kEmbedding) {
                                       const auto changed = normalized(
                                           std::span(stored).subspan(row, kEmbedding), weight);
                                       table.insert(table.end(), changed.begin(), changed.end());
                                     }
                                     std::memcpy(bytes.data(), table.data(), bytes.size());
                                   }});
  }

  test::TempFolder folder_;
};

TEST_P(NextTokensTest, ItsLayerAnswersAsAModelOfItsOwn) {
  const fs::path path = with_projection();
  const auto checkpoint = open_checkpoint(path);
  Model model(checkpoint, make_test_backend(2), {.context = 0, .rows = 64, .wanted_rows = 16});
  NextTokens next(checkpoint, model);
  const std::vector<Token> tokens = random_tokens(40, kVocabulary, 3);
  const std::vector<float> embeddings =
      floats_of(checkpoint->require({TensorRole::kTokenEmbedding}));
  std::vector<float> hidden;
  for (const Token token : tokens) {
    const auto row = embeddings.begin() + static_cast<ptrdiff_t>(token) * kEmbedding;
    hidden.insert(hidden.end(), row, row + kEmbedding);
  }
  std::vector<int32_t> table(blocks_for(40));
  std::iota(table.begin(), table.end(), 0);
  const auto kv = next.make_kv(static_cast<int>(table.size()));

  ModelRunner runner(alone(path));
  const auto expected = runner.run_text(tokens);
  for (int done = 0; done < 40;) {  // in steps of any length
    const int rows = std::min(done % 3 == 0 ? 7 : 4, 40 - done);
    Batch batch;
    batch.add_chain(std::span(tokens).subspan(static_cast<size_t>(done), static_cast<size_t>(rows)),
                    done, table);
    batch.wanted = {rows - 1};
    const auto states = std::span(hidden).subspan(static_cast<size_t>(done) * kEmbedding,
                                                  static_cast<size_t>(rows) * kEmbedding);
    const NextTokens::Output output = next.forward(batch, states, *kv);
    done += rows;
    const LogitRow& row = expected[static_cast<size_t>(done - 1)];
    ASSERT_EQ(output.logits.size(), row.size());
    for (size_t i = 0; i < row.size(); ++i) ASSERT_NEAR(output.logits[i], row[i], 1e-3) << done;
    ASSERT_EQ(output.hidden.rows, 1);
  }
}

INSTANTIATE_TEST_SUITE_P(Inputs, NextTokensTest, testing::Bool(),
                         [](const auto& of) { return of.param ? "tokens" : "hidden_states"; });

TEST(NextTokensErrorTest, AModelWithoutSuchALayerIsToldOf) {
  const test::TempFolder folder;
  const auto checkpoint = open_checkpoint(write_tiny_model({}, folder.path()));
  Model model(checkpoint, make_test_backend(1), {.context = 0, .rows = 64, .wanted_rows = 16});
  EXPECT_EQ(error_of([&] { NextTokens(checkpoint, model); }),
            "this model has no layer that predicts further tokens (multi-token prediction)");
}

// In a file beside the model (EAGLE).
class LayerApartTest : public testing::Test {
 protected:
  std::string error(const test::EagleDraftChanges& changes) {
    return error_of([&] { load(changes); });
  }
  std::unique_ptr<NextTokens> load(const test::EagleDraftChanges& changes = {}) {
    return std::make_unique<NextTokens>(
        checkpoint_, model_,
        open_checkpoint(test::write_eagle_draft(path_, folder_ / "draft.gguf", changes)));
  }
  // Behind so many tokens, in one step.
  static std::vector<float> run(NextTokens& next) {
    const std::vector<Token> tokens = random_tokens(20, kVocabulary, 3);
    std::vector<int32_t> table(blocks_for(20));
    std::iota(table.begin(), table.end(), 0);
    const auto kv = next.make_kv(static_cast<int>(table.size()));
    Batch batch;
    batch.add_chain(tokens, 0, table);
    batch.wanted = {5, 19};
    return next.forward(batch, random_floats(20 * kEmbedding, 7, 1.0f), *kv).logits;
  }

  test::TempFolder folder_;
  const fs::path path_ =
      write_tiny_model({.architecture = "qwen35", .next_token_layers = 1}, folder_.path());
  const std::shared_ptr<const Checkpoint> checkpoint_ = open_checkpoint(path_);
  Model model_{checkpoint_, make_test_backend(2), {.context = 0, .rows = 64, .wanted_rows = 16}};
};

TEST_F(LayerApartTest, AnswersAsTheModelsOwn) {
  NextTokens own(checkpoint_, model_);
  const auto apart = load();
  const std::vector<float> expected = run(own);
  EXPECT_EQ(run(*apart), expected);

  const std::vector<int32_t> known = {300, 4, 319, 0, 17};
  const auto some = load({.tokens = known});
  const std::vector<float> logits = run(*some);
  ASSERT_EQ(logits.size(), expected.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    const auto token = static_cast<int32_t>(i % kVocabulary);
    const bool is_known = std::ranges::find(known, token) != known.end();
    EXPECT_EQ(logits[i], is_known ? expected[i] : -std::numeric_limits<float>::infinity()) << i;
  }
}

TEST_F(LayerApartTest, WhatDoesNotFitTheModelIsNamed) {
  using testing::HasSubstr;
  const auto says = [](const char* key, const GgufValue& value) {
    return test::EagleDraftChanges{
        .metadata = [key, value](GgufMetadata& metadata) { metadata.set(key, value); }};
  };
  const auto file = (folder_ / "draft.gguf").string();
  EXPECT_EQ(error(says("eagle.embedding_length", {uint32_t{128}})),
            "the draft in '" + file +
                "' is for a model of 'qwen35' with 5 layers of length 128 and 320 tokens; this "
                "one, of 'qwen35', has 5 layers of length 64 and 320 tokens");
  EXPECT_THAT(error(says("eagle.base_architecture", {std::string("llama")})),
              HasSubstr("is for a model of 'llama'"));
  EXPECT_THAT(error(says("eagle.block_count", {uint32_t{4}})), HasSubstr("with 4 layers"));
  EXPECT_THAT(error(says("eagle.vocab_size", {uint32_t{321}})), HasSubstr("and 321 tokens; this"));
  EXPECT_EQ(error(says("general.architecture", {std::string("llama")})),
            "'" + file + "' holds no EAGLE draft: its architecture is 'llama'");
  EXPECT_THAT(error({.metadata = [](GgufMetadata& m) { m.erase("eagle.vocab_size"); }}),
              HasSubstr("eagle.vocab_size"));

  const auto without = [](const char* end) {
    return test::EagleDraftChanges{
        .tensor = [end](StoredTensor& tensor) { return !tensor.name.ends_with(end); }};
  };
  for (const char* name : {"nextn.eh_proj.weight", "nextn.enorm.weight", "nextn.hnorm.weight",
                           "nextn.shared_head_norm.weight", "ffn_down.weight"}) {
    EXPECT_THAT(error(without(name)), HasSubstr(std::string(name) + "' is missing"));
  }
  EXPECT_THAT(error({.tensor =
                         [](StoredTensor& tensor) {
                           if (tensor.name.ends_with("eh_proj.weight")) tensor.shape[1] = 32;
                           return true;
                         }}),
              HasSubstr("eh_proj.weight' is 128 x 32, expected 128 x 64"));
  EXPECT_THAT(error({.tensor =
                         [](StoredTensor& tensor) {
                           if (tensor.name.ends_with("nextn.enorm.weight"))
                             tensor.name = "blk.0.attn_norm.weight";
                           return true;
                         }}),
              HasSubstr("nextn.enorm.weight' is missing"));
  EXPECT_THAT(error({.tokens = {1, 2, 3}, .map = {1, 2}}), HasSubstr("names 2 tokens"));
  EXPECT_THAT(error({.tokens = {1, 2, 3}, .map = {1, 2, 320}}), HasSubstr("names the token 320"));
  EXPECT_THAT(error({.tokens = {1, 2, 3}, .map = {1, -2, 3}}), HasSubstr("names the token -2"));
  EXPECT_THAT(error({.tokens = std::vector<int32_t>(321, 1)}),
              HasSubstr("has rows for 321 tokens, the model has 320"));
}

}  // namespace
}  // namespace tessera
