#include "text/bpe_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "base/error.h"
#include "tiny_vocabularies.h"

namespace tessera {
namespace {

using testing::byte_level_bpe;
using ::testing::ElementsAre;

std::vector<Token> encode(const GgufMetadata& metadata, std::string_view text,
                          EncodeOptions options = {}) {
  return make_tokenizer(metadata)->encode(text, options);
}

TEST(BpeTokenizer, AppliesEarlierMergesFirst) {
  // 256: "bc", 257: "ab"; the rank decides, not the place.
  EXPECT_THAT(encode(byte_level_bpe("gpt-2", {"b c", "a b"}), "abc"), ElementsAre('a', 256));
  EXPECT_THAT(encode(byte_level_bpe("gpt-2", {"a b", "b c"}), "abc"), ElementsAre(256, 'c'));
}

TEST(BpeTokenizer, EqualMergesGoFromTheLeft) {
  EXPECT_THAT(encode(byte_level_bpe("gpt-2", {"a a"}), "aaaaa"), ElementsAre(256, 256, 'a'));
  EXPECT_THAT(encode(byte_level_bpe("gpt-2", {"a a", "aa aa"}), "aaaaaaa"),
              ElementsAre(257, 256, 'a'));
}

TEST(BpeTokenizer, MergesWithinWordsOnly) {
  // \u0120 is the space of GPT-2's alphabet.
  const auto metadata = byte_level_bpe("gpt-2", {"a \u0120", "\u0120 b"});
  EXPECT_THAT(encode(metadata, "a b"), ElementsAre('a', 257));
}

TEST(BpeTokenizer, IgnoreMergesTakesAWholeWord) {
  const std::vector<testing::Entry> word = {{"xyz"},
                                            {"x"
                                             "y"}};
  EXPECT_THAT(encode(byte_level_bpe("llama-bpe", {}, word), "xyz", {.add_special = false}),
              ElementsAre(256));
  EXPECT_THAT(encode(byte_level_bpe("qwen2", {}, word), "xyz"), ElementsAre('x', 'y', 'z'));
}

TEST(BpeTokenizer, InvalidUtf8BecomesTheReplacementCharacter) {
  EXPECT_THAT(encode(byte_level_bpe("qwen2", {}), "a\xFF"), ElementsAre('a', 0xEF, 0xBF, 0xBD));
}

TEST(BpeTokenizer, BytesWithoutATokenAreDropped) {
  GgufMetadata metadata = byte_level_bpe("gpt-2", {});
  testing::set_entries(metadata, {{"a"}, {"b"}});
  EXPECT_THAT(encode(metadata, "a?b"), ElementsAre(0, 1));
}

TEST(BpeTokenizer, DecodesWhatItEncoded) {
  const auto tokenizer = make_tokenizer(byte_level_bpe("llama-bpe", {"a b", "ab c", "\u0120 a"}));
  std::string text = "abc \u00E9\u4E2D\U0001F600\r\n\t";
  text.push_back('\0');
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
}

TEST(BpeTokenizer, AMegabyteInOneWordTakesNoQuadraticTime) {
  const auto tokenizer = make_tokenizer(byte_level_bpe("gpt-2", {"a a", "aa aa", "aaaa aaaa"}));
  EXPECT_EQ(tokenizer->encode(std::string(1 << 20, 'a')), std::vector<Token>((1 << 20) / 8, 258));
}

TEST(BpeTokenizer, IsSharedBetweenThreads) {
  const auto tokenizer = make_tokenizer(byte_level_bpe("qwen2", {"a b", "ab c"}));
  std::string text;
  for (int i = 0; i < 2000; ++i) text += "abc ab " + std::to_string(i) + "\n";
  const auto expected = tokenizer->encode(text);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] { EXPECT_EQ(tokenizer->encode(text), expected); });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(BpeTokenizer, BeginsWithBosWhereTheFamilyOrTheFileSaysSo) {
  GgufMetadata metadata = byte_level_bpe("llama-bpe", {}, {{"<bos>", 3}});
  EXPECT_THAT(encode(metadata, "a"), ElementsAre('a'));  // nothing to begin with
  metadata.set("tokenizer.ggml.bos_token_id", {uint32_t{256}});
  EXPECT_THAT(encode(metadata, "a"), ElementsAre(256, 'a'));
  EXPECT_THAT(encode(metadata, "a", {.add_special = false}), ElementsAre('a'));
  metadata.set("tokenizer.ggml.add_bos_token", {false});
  metadata.set("tokenizer.ggml.eos_token_id", {uint32_t{256}});
  metadata.set("tokenizer.ggml.add_eos_token", {true});
  EXPECT_THAT(encode(metadata, "a"), ElementsAre('a', 256));
}

TEST(BpeTokenizer, ATextThatBeginsWithBosGetsNoOther) {
  GgufMetadata metadata = byte_level_bpe("llama-bpe", {}, {{"<bos>", 3}, {"<eos>", 3}});
  metadata.set("tokenizer.ggml.bos_token_id", {uint32_t{256}});
  metadata.set("tokenizer.ggml.eos_token_id", {uint32_t{257}});
  metadata.set("tokenizer.ggml.add_eos_token", {true});
  EXPECT_THAT(encode(metadata, "<bos>a"), ElementsAre(256, 'a', 257));
  EXPECT_THAT(encode(metadata, "a<eos>"), ElementsAre(256, 'a', 257));
  EXPECT_THAT(encode(metadata, "<bos>"), ElementsAre(256, 257));
  EXPECT_THAT(encode(metadata, ""), ElementsAre(256, 257));
  EXPECT_THAT(encode(metadata, "<bos><bos>a"),
              ElementsAre(256, 256, 'a', 257));  // as it is written
  EXPECT_THAT(encode(metadata, "a<bos>"), ElementsAre(256, 'a', 256, 257));
  EXPECT_THAT(encode(metadata, "<bos>a", {.add_special = false}), ElementsAre(256, 'a'));
  // Its letters are not the token.
  EXPECT_EQ(encode(metadata, "<bos>", {.parse_special = false}).front(), 256);
  EXPECT_EQ(encode(metadata, "<bos>", {.parse_special = false}).size(), 7u);
}

TEST(BpeTokenizer, OverlongFormsAndSurrogatesAreNoCharacters) {
  const GgufMetadata metadata = byte_level_bpe("gpt-2", {});
  const auto replaced = [&](size_t bytes) {
    std::string text;
    for (size_t i = 0; i < bytes; ++i) text += "\uFFFD";
    return encode(metadata, text);
  };
  for (const std::string_view text :
       {"\xC0\x80", "\xC1\xBF", "\xC0\xAF", "\xE0\x80\x80", "\xE0\x9F\xBF", "\xF0\x80\x80\x80",
        "\xED\xA0\x80", "\xED\xBF\xBF", "\xF4\x90\x80\x80", "\xF8\x88\x80\x80\x80"}) {
    EXPECT_EQ(encode(metadata, text), replaced(text.size()));
  }
}

TEST(BpeTokenizer, MalformedMergesAreErrors) {
  GgufMetadata metadata = byte_level_bpe("gpt-2", {});
  metadata.erase("tokenizer.ggml.merges");
  EXPECT_THROW(make_tokenizer(metadata), Error);
  for (const char* merge : {"ab", "a zz", "zz a", "a b", "", " "}) {
    metadata.set("tokenizer.ggml.merges", {GgufValue::Array(std::vector<std::string>{merge})});
    EXPECT_THROW(make_tokenizer(metadata), Error) << merge;
  }
}

}  // namespace
}  // namespace tessera
