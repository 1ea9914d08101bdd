// vocab.json and merges.txt say what the tokenizer.json says that transformers makes of them.
#include "files/huggingface/vocabulary_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "files/huggingface/tokenizer.h"
#include "support/error_of.h"
#include "support/temp_folder.h"

namespace tessera {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class VocabularyFiles : public testing::Test {
 protected:
  VocabularyFiles() {
    put("vocab.json", {{"a", 0}, {"b", 1}, {"#", 2}, {"ab", 3}, {"##", 4}, {"<|end|>", 5}});
    folder_.write("merges.txt", "#version: 0.2\na b\n# #\r\n\n");
    put("tokenizer_config.json", {{"tokenizer_class", "GPT2Tokenizer"}, {"eos_token", "<|end|>"}});
  }
  void put(std::string_view name, const json& content) { folder_.write(name, content.dump()); }
  TokenizerData read() const { return huggingface::read_tokenizer(folder_.path()); }
  std::string error() const {
    return error_of([&] { read(); });
  }

  test::TempFolder folder_;
};

TEST_F(VocabularyFiles, AreGpt2sTokenizer) {
  const TokenizerData data = read();
  EXPECT_EQ(data.kind, TokenizerKind::kBytePair);
  EXPECT_THAT(data.vocabulary.texts, ElementsAre("a", "b", "#", "ab", "##", "<|end|>"));
  EXPECT_THAT(*data.merges, ElementsAre("a b", "# #"));
  EXPECT_EQ(data.vocabulary.pre_tokenizer, "gpt-2");
  EXPECT_TRUE(data.pipeline->is_named);
  EXPECT_EQ(data.vocabulary.eos_token_id, 5);
  EXPECT_EQ(data.vocabulary.types->at(5), TokenType::kControl);
  EXPECT_EQ(data.vocabulary.add_bos_token, false);
}

TEST_F(VocabularyFiles, AreQwen2sByItsClassOrTheModelsType) {
  put("tokenizer_config.json", {{"tokenizer_class", "Qwen2Tokenizer"}});
  TokenizerData data = read();
  EXPECT_EQ(data.vocabulary.pre_tokenizer, "qwen2");
  ASSERT_EQ(data.pipeline->normalizer.size(), 1u);
  EXPECT_EQ(data.pipeline->normalizer[0].kind, NormalizerStep::Kind::kNfc);
  put("tokenizer_config.json", json::object());
  EXPECT_EQ(read().vocabulary.pre_tokenizer, "gpt-2");
  put("config.json", {{"model_type", "qwen3"}});
  EXPECT_EQ(read().vocabulary.pre_tokenizer, "qwen2");
}

TEST_F(VocabularyFiles, TakeAddedTokensInTheOrderOfTheirIds) {
  put("added_tokens.json", {{"<a>", 7}, {"<b>", 6}});
  const TokenizerData data = read();
  EXPECT_THAT(data.vocabulary.texts,
              ElementsAre("a", "b", "#", "ab", "##", "<|end|>", "<b>", "<a>"));
  EXPECT_EQ(data.vocabulary.types->at(6), TokenType::kUserDefined);
}

TEST_F(VocabularyFiles, PutASpaceFirstIfTheConfigurationSaysSo) {
  put("tokenizer_config.json", {{"tokenizer_class", "GPT2Tokenizer"}, {"add_prefix_space", true}});
  const TokenizerData data = read();
  EXPECT_EQ(data.pipeline->words.front().kind, WordStep::Kind::kPrependSpace);
}

TEST_F(VocabularyFiles, YieldToATokenizerJson) {
  folder_.write("tokenizer.json", "{}");
  EXPECT_THAT(error(), HasSubstr("tokenizer.json': 'model' is missing"));
}

TEST_F(VocabularyFiles, WhatIsNotUnderstoodIsRefusedByName) {
  put("tokenizer_config.json", {{"tokenizer_class", "RobertaTokenizer"}});
  EXPECT_THAT(error(), HasSubstr("'RobertaTokenizer' of vocab.json is not supported"));
  put("tokenizer_config.json", json::object());
  put("added_tokens.json", {{"<a>", -1}});
  EXPECT_THAT(error(), HasSubstr("'<a>' has no id"));
  put("added_tokens.json", {{"<a>", 9}});
  EXPECT_THAT(error(), HasSubstr("the added token '<a>' has the id 9, expected 6"));
  put("added_tokens.json", json::object());
  folder_.write("merges.txt", "a b c\n");
  EXPECT_THAT(error(), HasSubstr("'a b c' are not two tokens"));
  put("vocab.json", {{"a", "0"}});
  EXPECT_THAT(error(), HasSubstr("the id of 'a' is"));
  std::filesystem::remove(folder_ / "merges.txt");
  EXPECT_THAT(error(), HasSubstr("merges.txt' is missing"));
}

}  // namespace
}  // namespace tessera
