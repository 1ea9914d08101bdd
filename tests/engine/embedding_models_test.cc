// Models that embed texts (bidirectional attention) make of them what transformers made.
// tests/tools/make_embedding_goldens.py made them.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "engine/engine.h"
#include "files/gguf/facts.h"
#include "files/gguf/writer.h"
#include "files/open.h"
#include "files/save.h"
#include "paths.h"
#include "support/error_of.h"
#include "support/run_to_end.h"
#include "support/temp_folder.h"
#include "support/test_backend.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

constexpr Model::Limits kLimits{.context = 0, .rows = 96, .wanted_rows = 16};

struct Text {
  std::vector<Token> tokens;
  std::vector<float> embedding;
};

std::vector<Text> read_answer(const fs::path& folder) {
  std::vector<Text> texts;
  for (const json& text : json::parse(std::ifstream(folder / "answer.json"))) {
    texts.push_back(
        {text["tokens"].get<std::vector<Token>>(), text["embedding"].get<std::vector<float>>()});
  }
  return texts;
}

class Embedder {
 public:
  explicit Embedder(const fs::path& path, int threads = 2, int kv_blocks = 0)
      : model_(open_checkpoint(path), make_test_backend(threads), kLimits),
        engine_(model_, {.kv_format = KvFormat::kF16, .kv_blocks = kv_blocks},
                [](Token) { return false; }) {}

  // All in one go.
  std::vector<std::vector<float>> embed(const std::vector<std::vector<Token>>& texts) {
    std::vector<std::shared_ptr<Sequence>> sequences;
    for (const auto& tokens : texts)
      sequences.push_back(engine_.add({.prompt = tokens, .pooling = model_.config().pooling}));
    run_to_end(engine_);
    std::vector<std::vector<float>> embeddings;
    for (const auto& sequence : sequences) {
      EXPECT_EQ(sequence->finished, FinishReason::kStop);
      EXPECT_EQ(sequence->statistics.cached_tokens, 0);
      embeddings.push_back(sequence->embedding);
    }
    return embeddings;
  }
  Model& model() { return model_; }
  Engine& engine() { return engine_; }

 private:
  Model model_;
  Engine engine_;
};

double cosine_distance(std::span<const float> a, std::span<const float> b) {
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    ab += static_cast<double>(a[i]) * b[i];
    aa += static_cast<double>(a[i]) * a[i];
    bb += static_cast<double>(b[i]) * b[i];
  }
  return 1 - ab / std::sqrt(aa * bb);
}

std::vector<std::vector<Token>> tokens_of(const std::vector<Text>& texts) {
  std::vector<std::vector<Token>> tokens;
  for (const Text& text : texts) tokens.push_back(text.tokens);
  return tokens;
}

// All tensors of a model, whatever the writer says of it.
void write_in_f32(const Checkpoint& model, CheckpointWriter& writer, const fs::path& file) {
  for (const StoredTensor& tensor : model.tensors())
    writer.declare(written_name(model, tensor), kF32, tensor.shape);
  writer.write(file, [&](size_t i) {
    const StoredTensor& tensor = model.tensors()[i];
    std::vector<float> values(tensor.elements());
    tensor.decode(0, tensor.rows(), values);
    std::vector<std::byte> bytes(kF32.row_bytes(values.size()));
    kF32.encode(values, bytes.data(), {});
    return bytes;
  });
}

class EmbeddingModelTest : public testing::TestWithParam<std::string> {
 protected:
  const fs::path folder_ = fs::path(TESSERA_TEST_DATA) / "embeddings" / GetParam();
  const std::vector<Text> answer_ = read_answer(folder_);

  // Weights and activations are f32 there and here; keys and values are f16 here.
  void expect_answer(const fs::path& model) const {
    Embedder embedder(model);
    const auto found = embedder.embed(tokens_of(answer_));
    for (size_t i = 0; i < answer_.size(); ++i) {
      ASSERT_EQ(found[i].size(), answer_[i].embedding.size());
      EXPECT_LE(cosine_distance(answer_[i].embedding, found[i]), 1e-6) << "text " << i;
    }
  }
};

TEST_P(EmbeddingModelTest, EmbedsAsTransformersDoes) {
  expect_answer(folder_);
}

TEST_P(EmbeddingModelTest, AsAGgufFileItEmbedsTheSame) {
  const test::TempFolder folder;
  fs::copy(folder_, folder.path(), fs::copy_options::recursive);
  std::ofstream(folder.path() / "tokenizer.json")  // there must be one
      << R"({"model": {"type": "WordPiece", "unk_token": "a", "vocab": {"a": 0}}})";
  const auto model = open_checkpoint(folder.path());
  const fs::path file = folder.path() / "model.gguf";
  write_in_f32(*model, *make_writer(*model, file), file);
  expect_answer(file);
}

// Bit for bit (E1, E2).
TEST_P(EmbeddingModelTest, NeitherCompanyNorThreadsMatter) {
  const auto texts = tokens_of(answer_);
  Embedder alone(folder_, 1);
  std::vector<std::vector<float>> expected;
  for (const auto& text : texts) expected.push_back(alone.embed({text})[0]);
  for (const int threads : {1, 2, 3}) {
    Embedder together(folder_, threads, 64);
    EXPECT_EQ(together.embed(texts), expected) << threads << " threads";
    // A text twice, and others that begin like it: nothing is taken over.
    auto more = texts;
    more.push_back(texts.back());
    std::ranges::reverse(more);
    auto found = together.embed(more);
    std::ranges::reverse(found);
    found.pop_back();
    EXPECT_EQ(found, expected) << threads << " threads, the other way round";
  }
}

// What follows a token changes its hidden state: the first token's, which nothing else could.
TEST_P(EmbeddingModelTest, TheFirstTokenSeesTheLast) {
  Embedder embedder(folder_);
  const auto first_state = [&](std::vector<Token> tokens) {
    const auto sequence =
        embedder.engine().add({.prompt = std::move(tokens), .pooling = Pooling::kCls});
    run_to_end(embedder.engine());
    return sequence->embedding;
  };
  EXPECT_NE(first_state({7, 8, 9}), first_state({7, 8, 10}));
}

TEST_P(EmbeddingModelTest, GeneratesAndScoresNothing) {
  Embedder embedder(folder_);
  const Request generates{.prompt = {7, 8, 9}, .max_tokens = 4};
  const Request scores{.prompt = {7, 8, 9}, .prompt_logprobs_from = 1};
  for (const Request& request : {generates, scores}) {
    EXPECT_THAT(error_of([&] { embedder.engine().add(request); }), HasSubstr("embeds texts"));
  }
}

INSTANTIATE_TEST_SUITE_P(All, EmbeddingModelTest,
                         testing::Values("bert", "bert-plain", "xlm-roberta", "nomic-bert",
                                         "modern-bert", "gemma-embedding"),
                         [](const auto& kind) {
                           std::string name = kind.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

// --- hostile folders

class HostileEmbeddingTest : public testing::Test {
 protected:
  // A copy of a model in which `change` has changed one file.
  std::string error(const std::string& name, const std::string& file,
                    const std::function<void(json&)>& change) {
    const test::TempFolder folder;
    fs::copy(fs::path(TESSERA_TEST_DATA) / "embeddings" / name, folder.path(),
             fs::copy_options::recursive);
    json content = json::parse(std::ifstream(folder.path() / file));
    change(content);
    std::ofstream(folder.path() / file) << content.dump();
    return error_of([&] { Embedder embedder(folder.path()); });
  }
};

TEST_F(HostileEmbeddingTest, WaysToPoolThatAreNotKnown) {
  const auto set = [](const char* key, const json& value) {
    return [=](json& config) { config[key] = value; };
  };
  EXPECT_THAT(error("bert", "1_Pooling/config.json", set("pooling_mode_mean_tokens", true)),
              HasSubstr("poolings of 'mean' and of 'cls' together are not supported"));
  EXPECT_THAT(error("bert", "1_Pooling/config.json", set("pooling_mode_cls_token", false)),
              HasSubstr("asks for no pooling"));
  EXPECT_THAT(error("bert", "1_Pooling/config.json", set("pooling_mode", "median")),
              HasSubstr("key 'pooling_mode': 'median' is not supported"));
  EXPECT_THAT(error("bert", "1_Pooling/config.json",
                    [](json& config) {
                      config = {{"pooling_mode_max_tokens", true}};
                    }),
              HasSubstr("the pooling 'max' is not supported"));
}

TEST_F(HostileEmbeddingTest, WaysToPoolThatGgufHasAndWeLack) {
  const test::TempFolder folder;
  const auto model = open_checkpoint(fs::path(TESSERA_TEST_DATA) / "embeddings" / "bert");
  const auto error = [&](const char* key, GgufValue value) {
    GgufMetadata metadata = dynamic_cast<const GgufFacts&>(model->facts()).metadata();
    metadata.set(key, std::move(value));
    GgufWriter writer(std::move(metadata));
    write_in_f32(*model, writer, folder.path() / "model.gguf");
    return error_of([&] { Embedder embedder(folder.path() / "model.gguf"); });
  };
  for (const uint32_t type : {4u, 9u}) {  // 4: of rerankers
    EXPECT_EQ(error("bert.pooling_type", {type}),
              fmt::format("key 'bert.pooling_type': {} is not supported, expected 1 (mean), 2 "
                          "(cls) or 3 (last)",
                          type));
  }
  EXPECT_THAT(error("bert.pooling_type", {std::string("mean")}), HasSubstr("bert.pooling_type"));
  EXPECT_THAT(error("bert.attention.causal", {true}),
              HasSubstr("key 'bert.attention.causal': true is not supported"));
  EXPECT_EQ(error("bert.pooling_type", {uint32_t{0}}), "(no error)");
}

TEST_F(HostileEmbeddingTest, ModulesThatAreNotKnown) {
  EXPECT_THAT(error("bert", "modules.json", [](json& list) { list[2]["type"] = "a.b.LSTM"; }),
              HasSubstr("the module 'a.b.LSTM' is not supported"));
  EXPECT_THAT(error("bert", "modules.json", [](json& list) { list[1]["path"] = "../bert"; }),
              HasSubstr("'../bert' is no name of a folder"));
  EXPECT_THAT(error("bert", "modules.json", [](json& list) { list = json::object(); }),
              HasSubstr("holds no JSON list"));
  EXPECT_THAT(error("gemma-embedding", "2_Dense/config.json",
                    [](json& config) { config["activation_function"] = "torch.nn.Tanh"; }),
              HasSubstr("'torch.nn.Tanh' is not supported"));
  EXPECT_THAT(error("gemma-embedding", "modules.json",
                    [](json& list) { std::swap(list[2]["path"], list[3]["path"]); }),
              HasSubstr("is 32 x 16, expected 16 x 16"));
  EXPECT_THAT(error("bert", "modules.json",
                    [](json& list) {
                      list[2]["type"] = "x.Dense";
                      list[2]["path"] = "none";
                    }),
              HasSubstr("none/config.json"));
}

TEST_F(HostileEmbeddingTest, ConfigurationsThatWouldChangeTheAnswer) {
  const auto config = [&](const std::string& name, const char* key, const json& value) {
    return error(name, "config.json", [&](json& content) { content[key] = value; });
  };
  EXPECT_THAT(config("bert", "position_embedding_type", "relative_key"),
              HasSubstr("'position_embedding_type'"));
  EXPECT_THAT(config("bert", "hidden_act", "relu"), HasSubstr("'relu' is not supported"));
  EXPECT_THAT(config("bert", "is_decoder", true), HasSubstr("'is_decoder'"));
  EXPECT_THAT(config("xlm-roberta", "max_position_embeddings", 1), HasSubstr("out of range"));
  EXPECT_THAT(config("modern-bert", "layer_types",
                     {"sliding_attention", "full_attention", "full_attention", "full_attention"}),
              HasSubstr("'layer_types'"));
}

TEST(EmbeddingLimits, ATextLongerThanTheContextIsRefused) {
  Embedder embedder(fs::path(TESSERA_TEST_DATA) / "embeddings" / "bert");
  const std::vector<Token> longest(80, 7), longer(81, 7);
  EXPECT_EQ(embedder.embed({longest})[0].size(), 16u);
  EXPECT_EQ(error_of([&] { embedder.embed({longer}); }),
            "the prompt has 81 tokens, the context holds 80");
}

// Whole texts are planned beside each other, and none waits for ever.
TEST(EmbeddingLimits, ManyTextsShareSteps) {
  Embedder embedder(fs::path(TESSERA_TEST_DATA) / "embeddings" / "modern-bert", 2, 200);
  std::vector<std::vector<Token>> texts;
  for (int i = 0; i < 40; ++i)
    texts.emplace_back(static_cast<size_t>(i % 7 == 0 ? 300 : 1 + i % 5), i % 50 + 3);
  const auto before = embedder.engine().statistics().steps;
  const auto found = embedder.embed(texts);
  EXPECT_LE(embedder.engine().statistics().steps - before, 12u);
  Embedder alone(fs::path(TESSERA_TEST_DATA) / "embeddings" / "modern-bert");
  for (size_t i = 0; i < texts.size(); ++i) EXPECT_EQ(found[i], alone.embed({texts[i]})[0]) << i;
}

}  // namespace
}  // namespace tessera
