// tiktoken.model, against what the "tiktoken" package gives (tests/tools/make_rank_goldens.py).
#include "files/huggingface/rank_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "files/gguf/tokenizer.h"
#include "files/huggingface/tokenizer.h"
#include "paths.h"
#include "support/error_of.h"
#include "support/temp_folder.h"
#include "text/tokenizer.h"

namespace tessera {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
namespace fs = std::filesystem;

const fs::path kData = TESSERA_TEST_DATA;

std::vector<std::string> read_texts() {
  std::vector<std::string> texts;
  for (const char* name : {"hard_text.jsonl", "tokenizers/random_text.jsonl"}) {
    std::ifstream file(kData / name);
    for (std::string line; std::getline(file, line);)
      texts.push_back(nlohmann::json::parse(line).get<std::string>());
  }
  return texts;
}

std::string hash_of(const std::vector<Token>& tokens) {
  uint64_t value = 0xcbf29ce484222325;
  for (const char byte : fmt::format("{}", fmt::join(tokens, " ")))
    value = (value ^ static_cast<uint8_t>(byte)) * 0x100000001b3;
  return fmt::format("{:08x}", value & 0xffffffff);
}

TEST(RankFile, GivesTheIdsOfThePackage) {
  const auto tokenizer = Tokenizer::make(huggingface::read_tokenizer(kData / "ranks"));
  std::ifstream golden(kData / "ranks" / "ids.txt");
  std::string line;
  for (const std::string& text : read_texts()) {
    ASSERT_TRUE(std::getline(golden, line));
    const auto tokens = tokenizer->encode(text, {.add_special = false, .parse_special = false});
    EXPECT_EQ(hash_of(tokens), line) << text;
    EXPECT_EQ(tokenizer->decode(tokens), text);
  }
  EXPECT_FALSE(std::getline(golden, line));
}

TEST(RankFile, IsNamedAndHasItsMergesInGguf) {
  const TokenizerData data = huggingface::read_tokenizer(kData / "ranks");
  GgufMetadata metadata;
  EXPECT_THAT(gguf::write_tokenizer(data, {}, metadata), IsEmpty());
  EXPECT_EQ(metadata.get_string("tokenizer.ggml.pre"), "kimi-k2");
  const auto first = Tokenizer::make(data),
             second = Tokenizer::make(gguf::read_tokenizer(metadata));
  for (const char* text : {"Hello there, it's 12345 o'clock", "\u4E2D\u6587 and words", "[BOS]a"})
    EXPECT_EQ(first->encode(text), second->encode(text)) << text;
  EXPECT_EQ(first->eos(), first->encode("[EOS]").front());
}

// "abc" is "a" and "bc", for "bc" comes before "ab".
TEST(RankFile, MakesMergesOfRanks) {
  const auto file = huggingface::read_rank_file(
      "YQ== 0\nYg== 1\r\nYw== 2\n\nYmM= 3\nYWI= 4\nYWJj 5\nYWNi 6\nIA== 7");
  EXPECT_THAT(*file.data.merges, ElementsAre("b c", "a b", "a bc"));
  EXPECT_EQ(*file.vocabulary.text_of(7), "\u0120");
}

TEST(RankFile, ALongWordIsNoTrouble) {
  const auto tokenizer = Tokenizer::make(huggingface::read_tokenizer(kData / "ranks"));
  for (const std::string unit : {"a", "A", "aB", "\u00E9", "e\u0301", "\u4E2D", "\u05D0"}) {
    std::string text;
    while (text.size() < (1 << 20)) text += unit;
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
  }
}

TEST(RankFile, RefusesWhatItCannotKnow) {
  const auto error = [](const std::string& text) {
    return error_of([&] { huggingface::read_rank_file(text); });
  };
  EXPECT_EQ(error("YQ== 0\nYg 1\n"), "line 2: expected bytes in base64 and a rank, found 'Yg 1'");
  EXPECT_EQ(error("YQ=="), "line 1: expected bytes in base64 and a rank, found 'YQ=='");
  EXPECT_EQ(error("YQ== -1"), "line 1: expected bytes in base64 and a rank, found 'YQ== -1'");
  EXPECT_EQ(error("YQ== 1"), "line 1: the rank 1, expected 0");
  EXPECT_EQ(error("YQ== 0\nYQ== 1"), "'a' has the ids 0 and 1");
  EXPECT_EQ(error("\n"), "there is no entry");
  EXPECT_EQ(error(std::string(400, 'A') + " 0"),
            "line 1: an entry of 300 bytes, at most 256 expected");
  const test::TempFolder folder;
  folder.write("tiktoken.model", "YQ== 0\n");
  folder.write("tokenizer_config.json",
               R"({"auto_map": {"AutoTokenizer": ["tokenization_qwen.QWenTokenizer", null]}})");
  EXPECT_THAT(error_of([&] { huggingface::read_tokenizer(folder.path()); }),
              HasSubstr("tiktoken.model': how 'tokenization_qwen' cuts texts is not known, only "
                        "tokenization_kimi's way; a tokenizer.json would do"));
}

}  // namespace
}  // namespace tessera
