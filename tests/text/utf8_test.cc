#include "base/utf8.h"

#include <gtest/gtest.h>

#include "text/stream_decoder.h"
#include "text/tokenizer.h"
#include "tiny_vocabularies.h"

namespace tessera {
namespace {

using Kind = Utf8Prefix::Kind;

void expect_prefix(std::string_view text, Kind kind, size_t length) {
  const Utf8Prefix prefix = inspect_utf8(text);
  EXPECT_EQ(prefix.kind, kind) << ::testing::PrintToString(text);
  EXPECT_EQ(prefix.length, length) << ::testing::PrintToString(text);
}

TEST(Utf8, ShortestFormsUpToTheLastCodePointAreComplete) {
  expect_prefix(std::string_view("\0", 1), Kind::kComplete, 1);
  expect_prefix("\x7Fx", Kind::kComplete, 1);
  expect_prefix("\xC2\x80", Kind::kComplete, 2);
  expect_prefix("\xE0\xA0\x80", Kind::kComplete, 3);
  expect_prefix("\xED\x9F\xBF", Kind::kComplete, 3);
  expect_prefix("\xF0\x90\x80\x80", Kind::kComplete, 4);
  expect_prefix("\xF4\x8F\xBF\xBF", Kind::kComplete, 4);
}

TEST(Utf8, OverlongFormsSurrogatesAndBeyondAreInvalid) {
  expect_prefix("\xC0\x80", Kind::kInvalid, 1);
  expect_prefix("\xE0\x9F\xBF", Kind::kInvalid, 1);
  expect_prefix("\xED\xA0\x80", Kind::kInvalid, 1);
  expect_prefix("\xF0\x8F\xBF\xBF", Kind::kInvalid, 1);
  expect_prefix("\xF4\x90\x80\x80", Kind::kInvalid, 1);
  expect_prefix("\xF5", Kind::kInvalid, 1);
  expect_prefix("\x80", Kind::kInvalid, 1);
}

TEST(Utf8, CodePointsAreWrittenAndRead) {
  for (const char32_t c :
       {0x0u, 0x7Fu, 0x80u, 0x7FFu, 0x800u, 0xD7FFu, 0xE000u, 0xFFFFu, 0x10000u, 0x10FFFFu}) {
    std::string text;
    append_utf8(text, c);
    expect_prefix(text, Kind::kComplete, text.size());
    EXPECT_EQ(decode_utf8(text), c);
  }
  std::string none;
  for (const char32_t c : {0xD800u, 0xDFFFu, 0x110000u}) append_utf8(none, c);
  EXPECT_EQ(none, "\uFFFD\uFFFD\uFFFD");
}

TEST(Utf8, AMaximalSubpartIsOneUnit) {
  expect_prefix("\xE2\x82x", Kind::kInvalid, 2);
  expect_prefix("\xF0\x9F\x98x", Kind::kInvalid, 3);
  expect_prefix("\xE2\x82", Kind::kIncomplete, 2);
  expect_prefix("\xF0", Kind::kIncomplete, 1);
}

TEST(Utf8, EachInvalidByteIsReplaced) {
  EXPECT_EQ(replace_invalid_bytes("a\xE2\x82z\xFF"), "a\uFFFD\uFFFDz\uFFFD");
  EXPECT_EQ(replace_invalid_bytes("h\u00E9 \U0001F600"), "h\u00E9 \U0001F600");
}

class StreamDecoderTest : public ::testing::Test {
 protected:
  std::unique_ptr<const Tokenizer> tokenizer_ = make_tokenizer(
      testing::byte_level_bpe("gpt-2", {}, {{"<|im_end|>", 3}}));  // token N is byte N
  StreamDecoder decoder_{*tokenizer_};
};

TEST_F(StreamDecoderTest, WaitsForTheLastByteOfACharacter) {
  EXPECT_EQ(decoder_.push('a'), "a");
  EXPECT_EQ(decoder_.push(0xF0), "");
  EXPECT_EQ(decoder_.push(0x9F), "");
  EXPECT_EQ(decoder_.push(0x98), "");
  EXPECT_EQ(decoder_.push(0x80), "\U0001F600");
  EXPECT_EQ(decoder_.finish(), "");
}

TEST_F(StreamDecoderTest, ReplacesASubpartWhenItCannotBeCompletedAnyMore) {
  EXPECT_EQ(decoder_.push(0xE2), "");
  EXPECT_EQ(decoder_.push(0x82), "");
  EXPECT_EQ(decoder_.push('x'), "\uFFFDx");
  EXPECT_EQ(decoder_.push(0xFF), "\uFFFD");
  EXPECT_EQ(decoder_.push(0xE2), "");
  EXPECT_EQ(decoder_.push(0xC3), "\uFFFD");  // the first is broken, the second may go on
  EXPECT_EQ(decoder_.push(0xA9), "\u00E9");
}

TEST_F(StreamDecoderTest, FinishReplacesAnUnfinishedCharacterOnce) {
  EXPECT_EQ(decoder_.push(0xF0), "");
  EXPECT_EQ(decoder_.push(0x9F), "");
  EXPECT_EQ(decoder_.finish(), "\uFFFD");
  EXPECT_EQ(decoder_.finish(), "");
}

TEST_F(StreamDecoderTest, ShowsControlTokensOnRequestOnly) {
  EXPECT_EQ(decoder_.push(256), "");
  EXPECT_EQ(StreamDecoder(*tokenizer_, true).push(256), "<|im_end|>");
}

}  // namespace
}  // namespace tessera
