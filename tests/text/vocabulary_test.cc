// Special tokens, roles, and vocabularies that must be refused.
#include "text/vocabulary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "support/token_finder.h"
#include "text/tokenizer.h"
#include "tiny_vocabularies.h"

namespace tessera {
namespace {

using testing::byte_level_bpe;
using ::testing::ElementsAre;
using testing::Entry;

constexpr EncodeOptions kLiteral = {.parse_special = false};

TEST(SpecialTokens, ControlTokensNeedParseSpecialUserDefinedOnesDoNot) {
  const auto tokenizer = make_tokenizer(byte_level_bpe("qwen2", {}, {{"<c>", 3}, {"<u>", 4}}));
  EXPECT_THAT(tokenizer->encode("a<c><u>"), ElementsAre('a', 256, 257));
  EXPECT_THAT(tokenizer->encode("a<c><u>", kLiteral), ElementsAre('a', '<', 'c', '>', 257));
}

TEST(SpecialTokens, LongerOnesWinEvenFromTheRight) {
  const auto tokenizer =
      make_tokenizer(byte_level_bpe("qwen2", {}, {{"ab", 4}, {"abc", 4}, {"bcde", 4}}));
  EXPECT_THAT(tokenizer->encode("abc"), ElementsAre(257));
  EXPECT_THAT(tokenizer->encode("abcde"), ElementsAre('a', 258));
  EXPECT_THAT(tokenizer->encode("ababc"), ElementsAre(256, 257));
}

TEST(SpecialTokens, RunsAreCutFromTheLeft) {
  const auto tokenizer = make_tokenizer(byte_level_bpe("qwen2", {}, {{"\n\n", 4}, {"\n\n\n", 4}}));
  EXPECT_THAT(tokenizer->encode("\n\n\n\n\n\n\n"), ElementsAre(257, 257, '\n'));
  EXPECT_THAT(tokenizer->encode("\n\n\n\n\n"), ElementsAre(257, 256));
}

TEST(SpecialTokens, Phi3TakesTheSpaceAfterThemAlong) {
  GgufMetadata metadata = byte_level_bpe("qwen2", {}, {{"<|user|>", 3}, {"<|endoftext|>", 3}});
  metadata.set("general.name", {std::string("Phi-3 mini")});
  EXPECT_THAT(make_tokenizer(metadata)->encode("<|user|> \na<|endoftext|> "),
              ElementsAre(256, 'a', 257, ' '));
}

TEST(SpecialTokens, JinaTakesTheSpaceBeforeTheMaskAlong) {
  const auto tokenizer = make_tokenizer(byte_level_bpe("jina-v2-de", {}, {{"<mask>", 3}}));
  EXPECT_THAT(tokenizer->encode("a <mask> b"), ElementsAre('a', 256, ' ', 'b'));
}

TEST(SpecialTokens, AMegabyteOfThemTakesNoQuadraticTime) {
  std::vector<Entry> runs;
  for (size_t length = 2; length < 32; ++length) runs.push_back({std::string(length, '\n'), 4});
  const auto tokenizer = make_tokenizer(byte_level_bpe("qwen2", {}, runs));
  EXPECT_EQ(tokenizer->encode(std::string(31 * 40000, '\n')).size(), 40000u);
}

TEST(Vocabulary, KnowsTheEndOfGenerationByNameAndByKey) {
  GgufMetadata metadata = byte_level_bpe(
      "qwen2", {},
      {{"<|im_end|>", 3}, {"<end_of_turn>", 1}, {"<e>", 3}, {"<t>", 3}, {"<other>", 3}});
  metadata.set("tokenizer.ggml.eos_token_id", {uint32_t{258}});
  metadata.set("tokenizer.ggml.eot_token_id", {uint32_t{259}});
  const auto tokenizer = make_tokenizer(metadata);
  EXPECT_TRUE(tokenizer->is_end_of_generation(256));
  EXPECT_FALSE(tokenizer->is_end_of_generation(257));  // not a control token
  EXPECT_TRUE(tokenizer->is_end_of_generation(258));
  EXPECT_TRUE(tokenizer->is_end_of_generation(259));
  EXPECT_FALSE(tokenizer->is_end_of_generation(260));
  EXPECT_FALSE(tokenizer->is_end_of_generation(-1));
}

TEST(Vocabulary, GptOssEndsAMessageNotTheGenerationWithEnd) {
  const auto tokenizer = make_tokenizer(byte_level_bpe(
      "gpt-4o", {}, {{"<|end|>", 3}, {"<|return|>", 3}, {"<|call|>", 3}, {"<|channel|>", 3}}));
  EXPECT_FALSE(tokenizer->is_end_of_generation(256));
  EXPECT_TRUE(tokenizer->is_end_of_generation(257));
  EXPECT_EQ(tokenizer->piece(259), "<|channel|>");  // parsers look for it
}

TEST(Vocabulary, PiecesFollowTheType) {
  const auto tokenizer = make_tokenizer(byte_level_bpe(
      "qwen2", {}, {{"\u0120x", 1}, {"<c>", 3}, {"\u0120u", 4}, {"[PAD]", 5}, {"", 1}}));
  EXPECT_EQ(tokenizer->piece(256), " x");
  EXPECT_EQ(tokenizer->piece(257), "");
  EXPECT_EQ(tokenizer->piece(257, true), "<c>");
  EXPECT_EQ(tokenizer->piece(258), "\u0120u");  // user-defined: as it is
  EXPECT_EQ(tokenizer->piece(259), "");
  EXPECT_EQ(tokenizer->token_text(260), "[EMPTY_260]");
  EXPECT_EQ(test::TokenFinder(*tokenizer).find("<c>"), 257);
  EXPECT_EQ(test::TokenFinder(*tokenizer).find("nothing"), std::nullopt);
  EXPECT_THROW(tokenizer->piece(261), Error);
  EXPECT_THROW(tokenizer->token_text(-1), Error);
}

// The message of the Error that loading throws.
std::string load_error(const GgufMetadata& metadata) {
  try {
    make_tokenizer(metadata);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Vocabulary, MalformedMetadataIsAClearError) {
  const auto broken = [](auto&& change) {
    GgufMetadata metadata = byte_level_bpe("gpt-2", {});
    change(metadata);
    return load_error(metadata);
  };
  using ::testing::HasSubstr;
  const auto strings = [](std::vector<std::string> values) {
    return GgufValue{GgufValue::Array(std::move(values))};
  };
  EXPECT_THAT(broken([](auto& m) { m.erase("tokenizer.ggml.model"); }),
              HasSubstr("tokenizer.ggml.model"));
  EXPECT_THAT(broken([](auto& m) { m.set("tokenizer.ggml.model", {std::string("rwkv")}); }),
              HasSubstr("rwkv"));
  EXPECT_THAT(broken([](auto& m) { m.set("tokenizer.ggml.pre", {std::string("zzz")}); }),
              HasSubstr("zzz"));
  EXPECT_THAT(broken([](auto& m) { m.erase("tokenizer.ggml.tokens"); }), HasSubstr("missing"));
  EXPECT_THAT(broken([&](auto& m) { m.set("tokenizer.ggml.tokens", strings({})); }),
              HasSubstr("empty"));
  EXPECT_THAT(broken([&](auto& m) {
                m.set("tokenizer.ggml.tokens", strings({"a", "b", "a"}));
              }),
              HasSubstr("same text"));
  EXPECT_THAT(
      broken([&](auto& m) { m.set("tokenizer.ggml.tokens", strings({std::string(20000, 'x')})); }),
      HasSubstr("20000 bytes"));
  EXPECT_THAT(broken([&](auto& m) {
                m.set("tokenizer.ggml.tokens", strings({"a", "b"}));
              }),
              HasSubstr("256 types for 2"));
  EXPECT_THAT(broken([](auto& m) {
                m.set("tokenizer.ggml.scores", {GgufValue::Array(std::vector<float>{1, 2})});
              }),
              HasSubstr("2 scores for 256"));
  EXPECT_THAT(broken([](auto& m) { m.set("tokenizer.ggml.bos_token_id", {uint32_t{256}}); }),
              HasSubstr("outside the vocabulary"));
  EXPECT_THAT(broken([](auto& m) { m.set("tokenizer.ggml.eot_token_id", {int32_t{-7}}); }),
              HasSubstr("outside the vocabulary"));
  EXPECT_THAT(broken([](auto& m) { m.set("tokenizer.ggml.add_bos_token", {true}); }),
              HasSubstr("bos_token_id"));
}

}  // namespace
}  // namespace tessera
