#include "text/vocabulary_bridge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/utf8.h"
#include "tiny_vocabularies.h"

namespace tessera {
namespace {

using testing::byte_level_bpe;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::sentencepiece;
using Tokens = std::vector<Token>;

constexpr EncodeOptions kText = {.add_special = false, .parse_special = false};
// \u0120 is the space of GPT-2's alphabet.
const std::vector<std::string> kWriterMerges = {"t h", "th e", "\u0120 the", "i n", "in g",
                                                "o w", "w o",  "r l",        "rl d"};
const std::vector<std::string> kReaderMerges = {"h e", "\u0120 t", "n g",          "w or",
                                                "o r", "l d",      "\u0120 \u0120"};

class VocabularyBridgeTest : public ::testing::Test {
 protected:
  const std::unique_ptr<const Tokenizer> writer_ = make_tokenizer(
      byte_level_bpe("qwen2", kWriterMerges, {{"<|start|>", 3}, {"<|end|>", 3}, {"<|own|>", 3}}));
  const VocabularyBridge bridge_{
      *writer_, make_tokenizer(byte_level_bpe("gpt-2", kReaderMerges,
                                              {{"<|end|>", 3}, {"<|start|>", 3}, {"<|x|>", 3}}))};
  const Tokenizer& reader_ = bridge_.reader();

  BridgedText read(std::string_view text, EncodeOptions options = {.add_special = false}) const {
    BridgedText bridged(bridge_);
    for (const Token token : writer_->encode(text, options)) bridged.read(token);
    return bridged;
  }
  Tokens control(const Tokenizer& tokenizer, std::string_view text) const {
    return tokenizer.encode(text, {.add_special = false});
  }
  static Tokens spelled(const std::vector<BridgedText::Word>& words) {
    Tokens tokens;
    for (const auto& word : words) tokens.push_back(word.token);
    return tokens;
  }
};

std::vector<std::string> hard_texts() {
  std::string words, signs, lines;
  for (int i = 0; i < 300; ++i) words += i % 7 == 0 ? " the thing" : " world,ing  ow";
  for (int i = 0; i < 450; ++i) signs += i % 3 == 0 ? "\u4e16\u754c" : "\U0001f600";
  for (int i = 0; i < 200; ++i) lines += "\n    if (the.thing)\n\n\treturn 12345;";
  return {"the thing in the world",
          "  the",
          "\u00e9t\u00e9 \U0001f468\u200d\U0001f469",
          words,
          signs,
          lines,
          std::string(1500, 'a'),
          std::string(1500, ' '),
          "a\xff\xfe the \xc3",
          ""};
}

// Whatever is cut how: the bytes are those of the text, but of a character that is unfinished.
TEST_F(VocabularyBridgeTest, AtEveryTokenTheTextIsTheSame) {
  for (const std::string& text : hard_texts()) {
    BridgedText bridged(bridge_);
    std::string so_far;
    for (const Token token : writer_->encode(text, kText)) {
      bridged.read(token);
      so_far += writer_->piece(token);
      std::string whole = so_far;
      if (is_valid_utf8(text)) {
        while (!is_valid_utf8(whole)) whole.pop_back();
        const auto tokens = bridged.tokens();
        ASSERT_EQ(reader_.decode(tokens), whole);
      }
    }
  }
}

// What is settled is settled where it makes no difference, if there are words; read token by token
// or at once.
TEST_F(VocabularyBridgeTest, ALongTextIsCutAsIfAtOnce) {
  for (const std::string& text : hard_texts()) {
    if (!is_valid_utf8(text) || text.size() == 1500) continue;
    if (text.find_first_of(" \n") == std::string::npos) continue;
    BridgedText bridged(bridge_);
    for (const Token token : writer_->encode(text, kText)) {
      bridged.read(token);
      bridged.tokens();
    }
    BridgedText at_once = read(text, kText);
    const auto expected = reader_.encode(text, kText);
    EXPECT_TRUE(std::ranges::equal(bridged.tokens(), expected)) << text;
    EXPECT_TRUE(std::ranges::equal(at_once.tokens(), expected)) << text;
  }
}

TEST_F(VocabularyBridgeTest, ControlTokensAreThoseOfTheSameTextOrThatText) {
  Tokens expected = control(reader_, "<|start|>");
  ASSERT_EQ(expected.size(), 1U);
  for (const Token token : reader_.encode("the", kText)) expected.push_back(token);
  expected.push_back(control(reader_, "<|end|>").front());
  for (const Token token : reader_.encode("<|own|>the", kText)) expected.push_back(token);
  BridgedText bridged = read("<|start|>the<|end|><|own|>the");
  EXPECT_TRUE(std::ranges::equal(bridged.tokens(), expected));
  // What only looks like one is text.
  BridgedText literal = read("<|start|>", kText);
  EXPECT_TRUE(std::ranges::equal(literal.tokens(), reader_.encode("<|start|>", kText)));
}

// "the world" and " the" are other tokens here than there.
TEST_F(VocabularyBridgeTest, WhatTheReaderSaysIsCutAsTheWriterCutsIt) {
  const std::string text = "in the world, the thing\n\nowing \u00e9 the";
  for (size_t at = 0; at < text.size(); ++at) {
    if (!is_valid_utf8(text.substr(0, at))) continue;
    const BridgedText bridged = read(text.substr(0, at), kText);
    const auto words = bridged.spell(reader_.encode(text.substr(at), kText));
    EXPECT_EQ(spelled(words), writer_->encode(text.substr(at), kText)) << at;
    ASSERT_FALSE(words.empty());
    for (const auto& word : words) EXPECT_EQ(word.ends, &word == &words.back());
  }
}

TEST_F(VocabularyBridgeTest, AWordSaysOfWhichTokensItIs) {
  const BridgedText bridged = read("in", kText);
  // " t" "he" "w" "ld" to " the" "w" "l" "d".
  const auto words = bridged.spell(reader_.encode(" thewld", kText));
  ASSERT_EQ(words.size(), 4U);
  const std::pair<size_t, size_t> expected[] = {{0, 1}, {2, 2}, {3, 3}, {3, 3}};
  for (size_t i = 0; i < words.size(); ++i)
    EXPECT_EQ(std::pair(words[i].from, words[i].last), expected[i]) << i;
}

// One character of several tokens: what has come of it is not said again, what contradicts it not
// at all, and what is unfinished waits.
TEST_F(VocabularyBridgeTest, CharactersMayBeginHereAndEndThere) {
  const std::string smile = "\U0001f600";
  BridgedText bridged(bridge_);
  for (const char byte : "in" + smile.substr(0, 2)) bridged.read(static_cast<unsigned char>(byte));
  EXPECT_EQ(reader_.decode(bridged.tokens()), "in");
  const auto bytes = [](std::string_view text) {
    Tokens tokens;
    for (const char byte : text) tokens.push_back(static_cast<unsigned char>(byte));
    return tokens;
  };
  EXPECT_EQ(spelled(bridged.spell(bytes(smile + "a"))), bytes(smile.substr(2) + "a"));
  EXPECT_THAT(bridged.spell(bytes("a")), IsEmpty());
  EXPECT_THAT(bridged.spell(bytes(smile.substr(0, 3))), IsEmpty());
  EXPECT_THAT(bridged.spell(bytes("\U0001f4a9")), ElementsAre(::testing::_, ::testing::_))
      << "begins alike";
  EXPECT_EQ(spelled(read("in", kText).spell(bytes("a" + smile.substr(0, 3)))), bytes("a"));
}

// Models may have more tokens than their tokenizers, and say any bytes.
TEST_F(VocabularyBridgeTest, WhatIsNoTextHarmsNobody) {
  BridgedText bridged = read("in", kText);
  bridged.read(static_cast<Token>(writer_->vocabulary_size()) + 7);
  EXPECT_EQ(reader_.decode(bridged.tokens()), "in");
  for (int i = 0; i < 5000; ++i) bridged.read(0x81);  // goes on with a character that never began
  EXPECT_GT(bridged.settled(), 3000u);
}

// Others may share what the reader made of the settled tokens.
TEST_F(VocabularyBridgeTest, WhatIsSettledStays) {
  for (const std::string& text : hard_texts()) {
    BridgedText bridged(bridge_);
    Tokens settled;
    for (const Token token : writer_->encode(text, kText)) {
      bridged.read(token);
      const auto now = bridged.tokens();
      ASSERT_GE(now.size(), settled.size());
      ASSERT_TRUE(std::ranges::equal(settled, now.first(settled.size())));
      settled.assign(now.begin(), now.begin() + static_cast<std::ptrdiff_t>(bridged.settled()));
    }
  }
}

TEST_F(VocabularyBridgeTest, AnEndIsAnEnd) {
  const BridgedText bridged = read("in", kText);
  Tokens said = reader_.encode(" the", kText);
  said.push_back(control(reader_, "<|end|>").front());
  said.push_back('a');
  const auto words = bridged.spell(said);
  Tokens expected = writer_->encode(" the", kText);
  expected.push_back(control(*writer_, "<|end|>").front());
  EXPECT_EQ(spelled(words), expected);
  EXPECT_EQ(words.back().from, said.size() - 2);
  for (const auto& word : words) EXPECT_FALSE(word.ends) << "what follows is known";
  // One that the writer lacks.
  said[said.size() - 2] = control(reader_, "<|x|>").front();
  EXPECT_EQ(spelled(bridged.spell(said)), writer_->encode(" the", kText));
  EXPECT_THAT(bridged.spell({}), IsEmpty());
}

// The space that SentencePiece puts before a text is none of it, and is put there only.
TEST(VocabularyBridge, SentencePiecesSpaceBeforeATextIsNoneOfIt) {
  const std::vector<testing::Entry> entries = {
      {"\u2581", 1, -9}, {"a", 1, -9}, {"b", 1, -9}, {"\u2581a", 1, -3}, {"ab", 1, -2}};
  const auto bpe = make_tokenizer(byte_level_bpe("gpt-2", {"\u0120 a"}));
  {
    const VocabularyBridge bridge(*bpe, make_tokenizer(sentencepiece(entries)));
    BridgedText text(bridge);
    EXPECT_THAT(text.tokens(), ElementsAre(1)) << "its bos";
    const auto spell = [&](std::string_view said, bool continues) {
      Tokens tokens;
      const EncodeOptions options = {
          .add_special = false, .parse_special = false, .continues = continues};
      for (const auto& word : text.spell(bridge.reader().encode(said, options)))
        tokens.push_back(word.token);
      return tokens;
    };
    EXPECT_EQ(spell("a a", false), bpe->encode("a a", kText));
    for (const Token token : bpe->encode("ab", kText)) text.read(token);
    EXPECT_EQ(bridge.reader().decode(text.tokens()), "ab");
    EXPECT_EQ(spell(" a", true), bpe->encode(" a", kText));
  }
  const auto writer = make_tokenizer(sentencepiece(entries));
  const VocabularyBridge bridge(*writer, make_tokenizer(byte_level_bpe("gpt-2", {"\u0120 a"})));
  BridgedText text(bridge);
  for (const Token token : writer->encode("a b")) text.read(token);
  EXPECT_EQ(bridge.reader().decode(text.tokens()), "a b") << "and no bos of the writer's";
  const auto words = text.spell(bridge.reader().encode("ab", kText));
  ASSERT_EQ(words.size(), 1U);
  EXPECT_EQ(writer->piece(words[0].token), "ab");
}

}  // namespace
}  // namespace tessera
