#include "model/next_tokens.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include "files/open.h"
#include "support/error_of.h"
#include "support/model_runner.h"
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

}  // namespace
}  // namespace tessera
