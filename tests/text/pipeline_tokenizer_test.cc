// Tokenizers made of steps: what the goldens of huggingface_test.cc do not see.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/utf8.h"
#include "support/error_of.h"
#include "text/oniguruma.h"
#include "text/regex.h"
#include "text/text_normalizer.h"
#include "text/tokenizer.h"
#include "text/word_splitter.h"

namespace tessera {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Words = WordStep::Kind;
using Normal = NormalizerStep::Kind;

// Characters, some words of them, and what is added.
TokenizerData small_data() {
  TokenizerData data;
  data.kind = TokenizerKind::kSentencePiece;
  TextPipeline& pipeline = data.pipeline.emplace();
  data.vocabulary.texts = {"<unk>", "<s>", "\u2581", "a", "b", "ab", "\u2581ab", "<end>", "<b>"};
  data.vocabulary.types.emplace(9, TokenType::kNormal);
  (*data.vocabulary.types)[0] = TokenType::kUnknown;
  (*data.vocabulary.types)[1] = (*data.vocabulary.types)[7] = TokenType::kControl;
  (*data.vocabulary.types)[8] = TokenType::kUserDefined;
  data.vocabulary.bos_token_id = 1;
  data.vocabulary.add_bos_token = true;
  data.merges = {"a b", "\u2581 ab"};
  pipeline.unknown_id = 0;
  pipeline.words = {{Words::kMarkSpaces}, {Words::kMarkVeryBeginning}};
  for (const int64_t id : {0, 1, 7, 8}) {
    AddedToken token;
    token.id = id;
    token.special = id != 8;
    pipeline.added_tokens.push_back(token);
  }
  pipeline.strips_first_space = true;
  return data;
}

std::vector<Token> encode(const TokenizerData& data, std::string_view text,
                          EncodeOptions options = {}) {
  return Tokenizer::make(data)->encode(text, options);
}

TEST(PipelineTokenizer, PutsASpaceBeforeTheVeryBeginningOnly) {
  EXPECT_THAT(encode(small_data(), "ab"), ElementsAre(1, 6));
  EXPECT_THAT(encode(small_data(), "ab", {.continues = true}), ElementsAre(1, 5));
  EXPECT_THAT(encode(small_data(), "<b>ab"), ElementsAre(1, 8, 5));
}

TEST(PipelineTokenizer, AddsNoSecondBeginning) {
  EXPECT_THAT(encode(small_data(), "<s>ab"), ElementsAre(1, 5));
  EXPECT_THAT(encode(small_data(), ""), ElementsAre(1));
}

TEST(PipelineTokenizer, NeverMakesAControlTokenOfLetters) {
  constexpr EncodeOptions kText = {.add_special = false, .parse_special = false};
  TokenizerData data = small_data();
  EXPECT_THAT(encode(data, "a<end>", kText), ElementsAre(2, 3, 0, 0, 0, 0, 0));
  // Not even by way of words that are entries.
  data.pipeline->ignores_merges = true;
  EXPECT_THAT(
      encode(data, "<end>", {.add_special = false, .parse_special = false, .continues = true}),
      ElementsAre(0, 0, 0, 0, 0));
  EXPECT_THAT(encode(data, "<b>", kText), ElementsAre(8));  // what does not steer is found
}

TEST(PipelineTokenizer, LeavesLiteralPlacesLetters) {
  const std::vector<size_t> literal = {2};
  const EncodeOptions options = {.add_special = false, .literal = literal, .continues = true};
  EXPECT_THAT(encode(small_data(), "a<end>a<end>", options), ElementsAre(3, 0, 0, 0, 0, 0, 3, 7));
  // Where tokens are found in normalized text, too.
  TokenizerData data = small_data();
  for (AddedToken& token : data.pipeline->added_tokens) token.normalized = true;
  EXPECT_THAT(encode(data, "a<end>a<end>", options), ElementsAre(3, 0, 0, 0, 0, 0, 3, 7));
}

TEST(PipelineTokenizer, TakesBytesThatAreNoText) {
  EXPECT_THAT(encode(small_data(), "a\xff\xc3", {.add_special = false, .continues = true}),
              ElementsAre(3, 0, 0));
}

TEST(PipelineTokenizer, DecodesWithoutTheSpaceThatWasPutThere) {
  const auto tokenizer = Tokenizer::make(small_data());
  EXPECT_EQ(tokenizer->decode(std::vector<Token>{1, 6, 6}), "ab ab");
  EXPECT_EQ(tokenizer->piece(6), " ab");
  EXPECT_EQ(tokenizer->decode(std::vector<Token>{1, 0, 6}, true), "<s><unk> ab");
}

TEST(PipelineTokenizer, RefusesWhatDoesNotFit) {
  const auto error = [](auto&& change) {
    TokenizerData data = small_data();
    change(data);
    return error_of([&] { Tokenizer::make(data); });
  };
  EXPECT_THAT(error([](TokenizerData& d) { d.merges->push_back("a x"); }),
              HasSubstr("needs the token 'ax'"));
  EXPECT_THAT(error([](TokenizerData& d) { d.pipeline->unknown_id = 99; }),
              HasSubstr("outside the vocabulary"));
  EXPECT_THAT(error([](TokenizerData& d) { d.pipeline->added_tokens[0].id = -5; }),
              HasSubstr("outside the vocabulary"));
  EXPECT_THAT(error([](TokenizerData& d) {
                d.pipeline->words.push_back({Words::kSplit, {"(", true}});
              }),
              HasSubstr("malformed"));
}

TEST(PipelineTokenizer, StopsNormalizersThatGrow) {
  std::vector<NormalizerStep> steps(12);
  for (NormalizerStep& step : steps) {
    step.kind = Normal::kReplace;
    step.pattern = {"a", false};
    step.content = std::string(200, 'a');
  }
  EXPECT_THAT(error_of([&] { TextNormalizer(steps).normalize("aaaa", false); }),
              HasSubstr("normalizer makes more than"));
}

TEST(PipelineTokenizer, StopsExpressionsThatBurnTime) {
  const std::vector<WordStep> steps = {{Words::kSplit, {"(?:a+)+[bc]", true}}};
  EXPECT_THAT(error_of([&] { WordSplitter(steps).split(std::string(200, 'a'), {}); }),
              HasSubstr("PCRE2 error"));
}

std::vector<std::string> matches(std::string_view pattern, std::string_view text) {
  const Regex regex(pcre2_from_oniguruma(pattern));
  Regex::Scratch scratch;
  std::vector<std::string> found;
  regex.for_each_match(text, scratch, [&](size_t begin, size_t end) {
    found.emplace_back(text.substr(begin, end - begin));
  });
  return found;
}

// What the package gave for these (Oniguruma 6.9.10).
TEST(Oniguruma, MeansTheSameInPcre2) {
  EXPECT_THAT(matches(R"(\s+$)", "a \n b "), ElementsAre(" ", " "));
  EXPECT_THAT(matches("^b", "a\nb"), ElementsAre("b"));
  EXPECT_THAT(matches("(?m:.)+", "a\nb"), ElementsAre("a\nb"));
  EXPECT_THAT(matches("a{2}+", "aaaaa"), ElementsAre("aaaa"));
  EXPECT_THAT(matches("a{,2}", "aaab"), ElementsAre("aa", "a", ""));
  EXPECT_THAT(matches(R"([\W_]+)", "a_b$+"), ElementsAre("_", "$+"));
  EXPECT_THAT(matches("[a-c&&[^b]]+", "abcab"), ElementsAre("a", "ca"));
  EXPECT_THAT(matches(R"(\h+)", "xyzdad"), ElementsAre("dad"));
  EXPECT_THAT(matches(R"(\bfoo\b)", "foo_ foo"), ElementsAre("foo"));
  EXPECT_THAT(matches("[[:punct:]]+", "a$+b_"), ElementsAre("$+", "_"));
  EXPECT_THAT(matches(R"(\p{Han}+)", "a漢々b"), ElementsAre("漢々"));
  EXPECT_THAT(matches(R"(\p{^Han}+)", "a漢"), ElementsAre("a"));
  EXPECT_THAT(matches(R"(\p{Letter}+)", "1a\U0001123f1"), ElementsAre("a\U0001123f"));
  EXPECT_THAT(matches(R"([^\r\n\p{L}]+)", "a-\n-b"), ElementsAre("-", "-"));
  EXPECT_THAT(matches(R"(\w+)", "²a"), ElementsAre("²a"));
  EXPECT_THAT(matches(R"([\w]+)", "²a"), ElementsAre("a"));
  EXPECT_THAT(matches(R"([!-\/:]+)", "a/-:"), ElementsAre("/-:"));
  EXPECT_THAT(matches(R"([a\-z]+)", "a-bz"), ElementsAre("a-", "z"));
  EXPECT_THAT(matches(R"([[ab][^a-y]]+)", "abcz"), ElementsAre("ab", "z"));
  EXPECT_THAT(matches(R"(\x{e9}|\u00e8)", "éè"), ElementsAre("é", "è"));
  EXPECT_THAT(matches("x*", "axx"), ElementsAre("", "xx"));
  EXPECT_THAT(matches("a++b|(?i:'S)", "aab's"), ElementsAre("aab", "'s"));
}

TEST(Oniguruma, RefusesWhatPcre2CannotSay) {
  for (const char* pattern : {R"(\g<1>)", "(?~a)", "(?<", "[a", R"(\)", R"(\p{Nonsense})", "a)",
                              R"(\xff)", R"(\x{110000})", R"(\x{d800})", "{1,2}", "(?W:a)", "(",
                              R"([\)", R"(\p{L)", R"(\08)", "[[:nope:]]"}) {
    EXPECT_NE(error_of([&] { Regex{pcre2_from_oniguruma(pattern)}; }), "(no error)") << pattern;
  }
  EXPECT_THAT(error_of([] { pcre2_from_oniguruma(std::string(1000, '[')); }),
              HasSubstr("nested too deeply"));
}

}  // namespace
}  // namespace tessera
