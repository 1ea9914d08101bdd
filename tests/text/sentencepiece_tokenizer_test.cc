#include "text/sentencepiece_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "tiny_vocabularies.h"

namespace tessera {
namespace {

using ::testing::ElementsAre;
using testing::sentencepiece;

constexpr Token kFirst = 259;  // of the entries that a test adds
constexpr Token byte_token(int byte) {
  return 3 + byte;
}
constexpr EncodeOptions kPlain = {.add_special = false};

// kFirst: U+2581, then a, b, c, "ab", "bc", "U+2581 a".
GgufMetadata letters() {
  return sentencepiece({{"\u2581", 1, -9},
                        {"a", 1, -9},
                        {"b", 1, -9},
                        {"c", 1, -9},
                        {"ab", 1, -2},
                        {"bc", 1, -1},
                        {"\u2581a", 1, -3}});
}

TEST(SentencePieceTokenizer, JoinsTheHighestScoreFirst) {
  GgufMetadata metadata = letters();
  metadata.set("tokenizer.ggml.add_space_prefix", {false});
  const auto tokenizer = make_tokenizer(metadata);
  EXPECT_THAT(tokenizer->encode("abc", kPlain), ElementsAre(kFirst + 1, kFirst + 5));
  EXPECT_THAT(tokenizer->encode("abab", kPlain), ElementsAre(kFirst + 4, kFirst + 4));
}

TEST(SentencePieceTokenizer, PutsASpaceBeforeTextAndAfterSpecialTokens) {
  const auto tokenizer = make_tokenizer(letters());
  EXPECT_THAT(tokenizer->encode("a", kPlain), ElementsAre(kFirst + 6));
  EXPECT_THAT(tokenizer->encode("</s>a c", kPlain), ElementsAre(2, kFirst + 6, kFirst, kFirst + 3));
  EXPECT_THAT(tokenizer->encode("", kPlain), ElementsAre());
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("a c  b")), "a c  b");
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(" a")), " a");
  EXPECT_EQ(tokenizer->piece(kFirst + 6), " a");  // in a stream the space stays
}

TEST(SentencePieceTokenizer, FallsBackToBytes) {
  GgufMetadata metadata = letters();
  metadata.set("tokenizer.ggml.add_space_prefix", {false});
  const auto tokenizer = make_tokenizer(metadata);
  EXPECT_THAT(tokenizer->encode("\u00E9a", kPlain),
              ElementsAre(byte_token(0xC3), byte_token(0xA9), kFirst + 1));
  EXPECT_THAT(tokenizer->encode("a\xFF", kPlain), ElementsAre(kFirst + 1, byte_token(0xFF)));
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("z\u4E2D\n\xE4")), "z\u4E2D\n\xE4");
}

TEST(SentencePieceTokenizer, WithoutByteTokensACharacterIsUnknownOnce) {
  GgufMetadata metadata = letters();
  testing::set_entries(metadata, {{"<unk>", 2}, {"<s>", 3}, {"</s>", 3}, {"a", 1, -1}});
  metadata.set("tokenizer.ggml.add_space_prefix", {false});
  EXPECT_THAT(make_tokenizer(metadata)->encode("\u4E2Da", kPlain), ElementsAre(0, 3));
}

TEST(SentencePieceTokenizer, AddsBosUnlessTheFileForbids) {
  GgufMetadata metadata = letters();
  EXPECT_THAT(make_tokenizer(metadata)->encode("a"), ElementsAre(1, kFirst + 6));
  EXPECT_TRUE(make_tokenizer(metadata)->adds_bos());
  metadata.set("tokenizer.ggml.add_bos_token", {false});
  EXPECT_THAT(make_tokenizer(metadata)->encode("a"), ElementsAre(kFirst + 6));
}

TEST(SentencePieceTokenizer, AMegabyteWithoutSpacesTakesNoQuadraticTime) {
  const auto tokenizer = make_tokenizer(letters());
  std::string text;
  while (text.size() < (1 << 20)) text += "abc";
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
}

TEST(SentencePieceTokenizer, NeedsScores) {
  GgufMetadata metadata = letters();
  metadata.erase("tokenizer.ggml.scores");
  EXPECT_THROW(make_tokenizer(metadata), Error);
}

}  // namespace
}  // namespace tessera
