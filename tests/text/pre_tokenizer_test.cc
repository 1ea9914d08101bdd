#include "text/pre_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/error.h"
#include "paths.h"

namespace tessera {
namespace {

using ::testing::ElementsAre;

PreTokenizer make(std::string_view name) {
  return PreTokenizer(find_pre_tokenizer_family(name).steps);
}

std::vector<std::string> read_hard_texts() {
  std::ifstream file(TESSERA_TEST_DATA "/hard_text.jsonl");
  std::vector<std::string> texts;
  for (std::string line; std::getline(file, line);) {
    texts.push_back(nlohmann::json::parse(line).get<std::string>());
  }
  return texts;
}

// splits.txt comes from another implementation: tests/text/make-split-goldens.
TEST(PreTokenizer, CutsHardTextsWhereThePublishedExpressionsDo) {
  const std::vector<std::string> texts = read_hard_texts();
  ASSERT_GT(texts.size(), 100u);
  std::ifstream file(TESSERA_TEST_DATA "/splits.txt");
  size_t families = 0;
  for (std::string line; std::getline(file, line); ++families) {
    ASSERT_TRUE(line.starts_with("# "));
    const std::string name = line.substr(2);
    const PreTokenizer pre_tokenizer = make(name);
    for (const std::string& text : texts) {
      ASSERT_TRUE(std::getline(file, line));
      std::istringstream numbers(line);
      std::vector<size_t> expected, lengths;
      for (size_t length; numbers >> length;) expected.push_back(length);
      for (const std::string_view word : pre_tokenizer.split(text)) lengths.push_back(word.size());
      EXPECT_EQ(lengths, expected) << name << ": " << text;
    }
  }
  EXPECT_GE(families, 26u);
}

TEST(PreTokenizer, LosesNothingInAnyFamily) {
  for (const std::string_view name : pre_tokenizer_names()) {
    const PreTokenizer pre_tokenizer = make(name);
    for (const std::string& text : read_hard_texts()) {
      std::string joined;
      for (const std::string_view word : pre_tokenizer.split(text)) {
        EXPECT_FALSE(word.empty()) << name;
        joined += word;
      }
      EXPECT_EQ(joined, text) << name;
    }
  }
}

TEST(PreTokenizer, FamiliesDifferInDigitsAndNewlines) {
  EXPECT_THAT(make("llama-bpe").split("12345\n\n x"), ElementsAre("123", "45", "\n\n", " x"));
  EXPECT_THAT(make("qwen2").split("123\n\n x"), ElementsAre("1", "2", "3", "\n\n", " x"));
  EXPECT_THAT(make("gpt-2").split("12345\n\n x"), ElementsAre("12345", "\n\n", " x"));
  EXPECT_THAT(make("superbpe").split("n 1234567!"), ElementsAre("n ", "1", "234", "567", "!"));
  EXPECT_THAT(make("gpt-4o").split("aBcDE'll"), ElementsAre("a", "Bc", "DE'll"));
  EXPECT_THAT(make("minicpm5").split("it's 1234567\n\n x"),
              ElementsAre("it", "'s", " ", "123", "456", "7", "\n\n", " x"));
  EXPECT_TRUE(find_pre_tokenizer_family("minicpm5").ignore_merges);
  EXPECT_THAT(make("ufakzeka").split("\u0130stanbul'da it's 123\n x"),
              ElementsAre("\u0130stanbul", "'da", " it", "'s", " ", "1", "2", "3", "\n", " x"));
  EXPECT_THAT(make("ufakzeka").split("Ali'nin 're"), ElementsAre("Ali", "'nin", " '", "re"));
  EXPECT_THAT(make("qwen2").split("Ali'sin"), ElementsAre("Ali", "'s", "in"));
}

TEST(PreTokenizer, KimiK2sWordsEndAtIdeographs) {
  EXPECT_THAT(make("kimi-k2").split("don'T\u4E2D\u6587a\u0301 1234!\n\n x"),
              ElementsAre("don'T", "\u4E2D\u6587", "a", "\u0301", " ", "123", "4", "!\n\n", " x"));
  EXPECT_THAT(make("kimi-k2").split(" \u4E2D!\u6587"), ElementsAre(" ", "\u4E2D", "!", "\u6587"));
}

TEST(PreTokenizer, KnowsWhichFamiliesAreOfCharacters) {
  std::vector<std::string_view> names;
  for (const std::string_view name : pre_tokenizer_names()) {
    if (find_pre_tokenizer_family(name).characters) names.push_back(name);
  }
  EXPECT_THAT(names, ElementsAre("gemma4", "granite-embed-multi-311m", "sarvam-moe", "whitespace"));
  for (const std::string_view name : {"granite-embed-multi-97m", "minicpm5", "youtu"})
    EXPECT_TRUE(find_pre_tokenizer_family(name).ignore_merges) << name;
}

// What a state for each character, or a scan to the end at each word, would not survive.
TEST(PreTokenizer, TakesAMegabyteOfAnything) {
  constexpr size_t kSize = 1 << 20;
  for (const std::string_view unit :
       {"a", "A", "aB", " ", "\n", "\r\n", "1", "!", "'", "\u00E9", "e\u0301", "\u4E2D", "a ",
        " \n", "\u00A0", "\U0001F600", "Z\u00C9"}) {
    std::string text;
    while (text.size() < kSize) text += unit;
    for (const std::string_view name :
         {"gpt-2", "smollm", "llama-bpe", "qwen2", "qwen35", "gpt-4o", "tekken", "deepseek-v3",
          "deepseek-llm", "falcon", "exaone-moe", "superbpe", "kimi-k2", "youtu", "tiny_aya",
          "granite-embed-multi-97m", "spark2_5", "laguna"}) {
      size_t bytes = 0;
      for (const std::string_view word : make(name).split(text)) bytes += word.size();
      EXPECT_EQ(bytes, text.size()) << name;
    }
  }
}

TEST(PreTokenizer, AnUnknownNameIsAnError) {
  EXPECT_THROW(find_pre_tokenizer_family("no-such"), Error);
  EXPECT_FALSE(find_pre_tokenizer_family("").steps.empty());  // "default", with a warning
  const auto names = pre_tokenizer_names();
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
}

}  // namespace
}  // namespace tessera
