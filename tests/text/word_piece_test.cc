// WordPiece from a folder and from GGUF. Ids are those of Hugging Face's "tokenizers"; many more
// texts are in huggingface_test.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "files/gguf/tokenizer.h"
#include "files/huggingface/tokenizer.h"
#include "support/error_of.h"
#include "support/temp_folder.h"
#include "text/tokenizer.h"

namespace tessera {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::vector<std::string> kTexts = {
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "un",  "##aff", "##able", "aff", "a",   "##a",
    "cafe",  "漢",    "字",    "!",     "##!", "-",     "😀",      "##😀", "été", "İ"};

json small_tokenizer() {
  json vocabulary = json::object();
  for (size_t id = 0; id < kTexts.size(); ++id) vocabulary[kTexts[id]] = id;
  json added = json::array();
  for (const size_t id : {0, 1, 2, 3})
    added.push_back({{"id", id}, {"content", kTexts[id]}, {"special", true}});
  return {{"added_tokens", added},
          {"normalizer",
           {{"type", "BertNormalizer"},
            {"clean_text", true},
            {"handle_chinese_chars", true},
            {"strip_accents", nullptr},
            {"lowercase", true}}},
          {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
          {"post_processor",
           {{"type", "BertProcessing"}, {"sep", {"[SEP]", 3}}, {"cls", {"[CLS]", 2}}}},
          {"decoder", {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}}},
          {"model",
           {{"type", "WordPiece"},
            {"unk_token", "[UNK]"},
            {"continuing_subword_prefix", "##"},
            {"max_input_chars_per_word", 100},
            {"vocab", vocabulary}}}};
}

TokenizerData read(const json& tokenizer) {
  const test::TempFolder folder;
  folder.write("tokenizer.json", tokenizer.dump());
  return huggingface::read_tokenizer(folder.path());
}

class WordPiece : public ::testing::Test {
 protected:
  std::vector<Token> encode(std::string_view text) const {
    return tokenizer_->encode(text, {.add_special = false});
  }
  const std::unique_ptr<const Tokenizer> tokenizer_ = Tokenizer::make(read(small_tokenizer()));
};

TEST_F(WordPiece, TakesTheLongestEntryEachTime) {
  EXPECT_THAT(encode("unaffable"), ElementsAre(4, 5, 6));
  EXPECT_THAT(encode("aff a"), ElementsAre(7, 8));
  EXPECT_THAT(encode("aaa"), ElementsAre(8, 9, 9));
  EXPECT_THAT(encode("unx aff"), ElementsAre(1, 7));  // all of a word, or nothing
  EXPECT_THAT(encode(""), IsEmpty());
  EXPECT_THAT(encode(" \t\n"), IsEmpty());
}

TEST_F(WordPiece, SurroundsATextWithItsTokens) {
  EXPECT_THAT(tokenizer_->encode("un"), ElementsAre(2, 4, 3));
  EXPECT_THAT(tokenizer_->encode(""), ElementsAre(2, 3));
}

TEST_F(WordPiece, NormalizesAsBertDoes) {
  EXPECT_THAT(encode("UNAffable"), ElementsAre(4, 5, 6));
  EXPECT_THAT(encode("CAFÉ"), ElementsAre(10));            // accents go before case,
  EXPECT_THAT(encode("e\u0301te\u0301"), ElementsAre(1));  // those of a vocabulary's entry too
  EXPECT_THAT(encode(std::string("un\0aff", 6)), ElementsAre(4, 5));
  EXPECT_THAT(encode("un\u200baff\u0007able"), ElementsAre(4, 5, 6));
  EXPECT_THAT(encode("un\u00a0aff\u3000a"), ElementsAre(4, 7, 8));
  EXPECT_THAT(encode("a漢字a"), ElementsAre(8, 11, 12, 8));
  EXPECT_THAT(encode("a!-a"), ElementsAre(8, 13, 15, 8));
  EXPECT_THAT(encode("a😀"), ElementsAre(8, 17));
  EXPECT_THAT(encode("\xff"), IsEmpty());  // becomes U+FFFD, which goes
}

TEST_F(WordPiece, WordsOfMoreThanHundredCharactersAreUnknown) {
  EXPECT_EQ(encode(std::string(100, 'a')).size(), 100u);
  EXPECT_THAT(encode(std::string(101, 'a')), ElementsAre(1));
  EXPECT_THAT(encode("a " + std::string(1 << 20, 'a') + " a"), ElementsAre(8, 1, 8));
}

TEST_F(WordPiece, DecodesToWords) {
  const std::vector<Token> tokens = {2, 4, 5, 6, 8, 13, 8, 3};
  EXPECT_EQ(tokenizer_->decode(tokens), "unaffable a! a");
}

TEST_F(WordPiece, IsTheSameInGguf) {
  GgufMetadata metadata;
  EXPECT_THAT(gguf::write_tokenizer(read(small_tokenizer()), {}, metadata, 24), IsEmpty());
  EXPECT_EQ(metadata.get_string("tokenizer.ggml.model"), "bert");
  const auto texts = *metadata.get_strings("tokenizer.ggml.tokens");
  EXPECT_EQ(texts[1], "[UNK]");
  EXPECT_EQ(texts[4], "\u2581un");
  EXPECT_EQ(texts[5], "aff");
  EXPECT_EQ(texts.size(), 24u);
  const auto again = Tokenizer::make(gguf::read_tokenizer(metadata));
  for (const char* text : {"unaffable", "CAFÉ a漢字!", "", "[UNK] [CLS] x", "a😀 été İ"})
    EXPECT_EQ(again->encode(text), tokenizer_->encode(text)) << text;
}

// llama.cpp's converter says little more than the entries.
TEST_F(WordPiece, OfGgufNeedsOnlyItsEntries) {
  GgufMetadata metadata;
  gguf::write_tokenizer(read(small_tokenizer()), {}, metadata);
  for (const char* key : {"token_type", "cls_token_id", "seperator_token_id", "bos_token_id",
                          "eos_token_id", "unknown_token_id", "normalizer.lowercase",
                          "normalizer.strip_accents", "add_bos_token", "add_eos_token"})
    metadata.erase(std::string("tokenizer.ggml.") + key);
  auto texts = *metadata.get_strings("tokenizer.ggml.tokens");
  texts[0] = "\u2581[PAD]";
  metadata.set("tokenizer.ggml.tokens", {GgufValue::Array(texts)});
  const auto again = Tokenizer::make(gguf::read_tokenizer(metadata));
  for (const char* text : {"unaffable", "CAFÉ a漢字!", "x"})
    EXPECT_EQ(again->encode(text), tokenizer_->encode(text)) << text;
}

TEST(WordPieceErrors, AVocabularyWithoutTheUnknownToken) {
  json tokenizer = small_tokenizer();
  tokenizer["model"]["vocab"].erase("[UNK]");
  tokenizer["added_tokens"].erase(1);
  EXPECT_THAT(error_of([&] { read(tokenizer); }),
              HasSubstr("'vocab' lacks the unknown token '[UNK]'"));

  GgufMetadata metadata;
  metadata.set("tokenizer.ggml.model", {std::string("bert")});
  metadata.set("tokenizer.ggml.tokens",
               {GgufValue::Array(std::vector<std::string>{"[CLS]", "[SEP]", "\u2581a"})});
  const auto error = [&] {
    return error_of([&] { Tokenizer::make(gguf::read_tokenizer(metadata)); });
  };
  EXPECT_EQ(error(), "tokenizer: there is no unknown token, which WordPiece needs");
  metadata.set("tokenizer.ggml.unknown_token_id", {uint32_t{100}});
  EXPECT_THAT(error(), HasSubstr("100 is outside the vocabulary of 3 tokens"));
}

}  // namespace
}  // namespace tessera
