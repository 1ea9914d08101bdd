#include "grammar/token_mask.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "base/error.h"
#include "grammar/grammar_support.h"
#include "support/token_finder.h"

namespace tessera {
namespace {

using grammar::Automaton;
using grammar::StackSet;
using testing::json_tokenizer;

constexpr const char* kGrammars[] = {
    // Small rules are copied, large ones are called.
    R"x(
root   ::= object
value  ::= object | array | string | number | "true" | "false" | "null"
object ::= "{" ws (string ":" ws value ("," ws string ":" ws value)*)? "}" ws
array  ::= "[" ws (value ("," ws value)*)? "]" ws
string ::= "\"" ([^"\\\x00-\x1F] | "\\" (["\\/bfnrt] | "u" [0-9a-f]{4}))* "\""
number ::= "-"? ("0" | [1-9] [0-9]{0,15}) ("." [0-9]{1,9})? ([eE] [-+]? [0-9]{1,2})?
ws     ::= | " " | "\n" [ \t]{0,20}
)x",
    "root ::= \"a\" root | \"ab\" root \"b\" | [0-9]{1,3} | \"é\"*",
    R"x(
root ::= word (" " word){0,20}
word ::= [a-z]{1,12} | [^a-z ]{1,40} tail
tail ::= "" | "." word
)x",
    "root ::= \"\\\"\" .{0,30} \"\\\"\"",
};

// What the mask must be: each token walked on its own.
bool reads(Automaton& automaton, StackSet state, std::string_view text) {
  for (const char c : text) state = automaton.next(state, static_cast<uint8_t>(c));
  return !text.empty() && state != Automaton::kDead;
}

// At the states of random answers.
void expect_exact_masks(const Tokenizer& tokenizer, const char* gbnf, int answers) {
  const grammar::TokenTrie trie(tokenizer);
  std::mt19937 random(5);
  const auto compiled = compile_grammar(gbnf);
  Automaton automaton(*compiled);
  grammar::TokenMasks masks(automaton, trie);
  for (int answer = 0; answer < answers; ++answer) {
    auto state = automaton.start();
    for (int step = 0; step < 40; ++step) {
      const auto mask = masks.of(state);
      std::vector<Token> choices;
      for (Token t = 0; t < static_cast<Token>(tokenizer.vocabulary_size()); ++t) {
        const bool allowed = is_allowed(*mask, t);
        if (tokenizer.is_end_of_generation(t)) {
          EXPECT_EQ(allowed, automaton.ends(state));
          continue;
        }
        EXPECT_EQ(allowed, reads(automaton, state, tokenizer.piece(t))) << gbnf << '\n'
                                                                        << tokenizer.piece(t);
        if (allowed) choices.push_back(t);
      }
      if (choices.empty()) break;
      for (const char c : tokenizer.piece(choices[random() % choices.size()]))
        state = automaton.next(state, static_cast<uint8_t>(c));
    }
  }
}

TEST(TokenMasks, AllowExactlyTheTokensThatTheGrammarReads) {
  const auto tokenizer = json_tokenizer();
  for (const char* gbnf : kGrammars) expect_exact_masks(*tokenizer, gbnf, 12);
}

// Tokens of plain text, of all lengths, and some with an end of a string.
std::unique_ptr<const Tokenizer> wordy_tokenizer() {
  std::mt19937 random(3);
  std::set<std::string> texts;
  for (int length = 2; length <= 40; ++length) {
    for (int i = 0; i < 6; ++i) {
      std::string text;
      for (int c = 0; c < length; ++c) {
        constexpr const char* kCharacters[] = {"a", "b", "z", " ", "7", "é", "日", "😀"};
        text += kCharacters[random() % (i < 3 ? 3 : 8)];
      }
      texts.insert(text);
      if (i % 3 == 2) texts.insert(text + (i == 2 ? "\"" : "\xC3"));
    }
  }
  std::vector<testing::Entry> entries;
  for (const std::string& text : texts) {
    std::string entry;
    for (const char c : text) entry += byte_to_alphabet(static_cast<unsigned char>(c));
    entries.push_back({entry});
  }
  entries.push_back({"<end>", 3});
  GgufMetadata metadata = testing::byte_level_bpe("gpt-2", {}, entries);
  metadata.set("tokenizer.ggml.eos_token_id", {static_cast<uint32_t>(256 + entries.size() - 1)});
  return make_tokenizer(metadata);
}

TEST(TokenMasks, AreExactWhereTextIsCounted) {
  const auto tokenizer = wordy_tokenizer();
  for (const char* gbnf : {
           R"x(root ::= "\"" ([^"\\\x00-\x1F] | "\\" ["\\n]){0,30} "\"" [0-9]{0,3})x",
           "root ::= [a-z é]{0,9} \"end\" | \"a\"{3,70}",
           "root ::= .{3,12} \"\\\"\"",
           "root ::= line{1,4}\nline ::= [^\\n]{0,20} \"\\n\"",
           "root ::= [ -~]* | \"7\" [^\\x00-\\x1F]*",
           R"x(root ::= "\"" ([^"\\\x00-\x1F]* | [^"\\a]{0,5} root?) "\"")x",
           R"x(root ::= [^"\\é]* ("\"" root)?)x",
           R"x(root ::= ([^"\\\x00-\x1F] [^"\\\x00-\x1F]){0,9} ("\"" | "a" root))x",
       })
    expect_exact_masks(*tokenizer, gbnf, 6);
}

TEST(TokenMasks, AreRightWhereNestingEnds) {
  const auto tokenizer = json_tokenizer();
  const auto compiled = compile_grammar("root ::= \"[\" (root (\",\" root)*)? \"]\"");
  Automaton automaton(*compiled);
  const grammar::TokenTrie trie(*tokenizer);
  grammar::TokenMasks masks(automaton, trie);
  auto state = automaton.start();
  for (int depth = 0; depth < 1100 && state != Automaton::kDead; ++depth) {
    if (depth > 900 || depth % 100 == 0) {
      const auto mask = masks.of(state);
      for (const char* text : {"[[", "[]", "]]", "[", "]"}) {
        std::optional<Token> token = test::TokenFinder(*tokenizer).find(text);
        ASSERT_TRUE(token) << text;
        EXPECT_EQ(is_allowed(*mask, *token), reads(automaton, state, text)) << depth << text;
      }
    }
    state = automaton.next(state, '[');
  }
}

TEST(StructuredOutput, ControlTokensAreNeverAllowedAndEndTokensAtTheEndOnly) {
  const auto tokenizer = json_tokenizer();
  StructuredOutput structured(*tokenizer);
  const auto constraint = structured.grammar("root ::= .{0,2}")->start();
  const Token start = *test::TokenFinder(*tokenizer).find("<start>"), end = *tokenizer->eos();
  EXPECT_FALSE(is_allowed(constraint->allowed(), start));
  EXPECT_TRUE(is_allowed(constraint->allowed(), end));
  const auto strict = structured.grammar("root ::= \"ab\"")->start();
  EXPECT_FALSE(is_allowed(strict->allowed(), end));
  strict->accept(*test::TokenFinder(*tokenizer).find("ab"));
  for (int again = 0; again < 3; ++again) {  // after the end only the end may come, ever
    for (Token t = 0; t < static_cast<Token>(tokenizer->vocabulary_size()); ++t)
      EXPECT_EQ(is_allowed(strict->allowed(), t), tokenizer->is_end_of_generation(t)) << t;
    strict->accept(end);
  }
}

TEST(StructuredOutput, ATokenThatWasNotAllowedEndsTheAnswer) {
  const auto tokenizer = json_tokenizer();
  StructuredOutput structured(*tokenizer);
  const auto constraint = structured.grammar("root ::= \"ab\"")->start();
  constraint->accept('x');
  EXPECT_TRUE(is_allowed(constraint->allowed(), *tokenizer->eos()));
}

TEST(StructuredOutput, OnlyAWholeAnswerIsComplete) {
  const auto tokenizer = json_tokenizer();
  StructuredOutput structured(*tokenizer);
  const auto constraint = structured.grammar("root ::= \"x\" \"y\"?")->start();
  EXPECT_FALSE(constraint->complete());
  constraint->accept('x');
  EXPECT_TRUE(constraint->complete());
  constraint->accept('y');
  EXPECT_TRUE(constraint->complete());
  constraint->accept('z');
  EXPECT_FALSE(constraint->complete());
}

// More ways without a byte than are followed: nothing is left but to end the answer.
TEST(StructuredOutput, ADeadEndIsNotComplete) {
  const auto tokenizer = json_tokenizer();
  StructuredOutput structured(*tokenizer);
  std::string gbnf = "root ::= \"x\" ";
  for (int i = 0; i < 12'000; ++i) gbnf += "(\"\"|\"\")";
  const auto constraint = structured.grammar(gbnf + " \"y\"")->start();
  constraint->accept('x');
  EXPECT_TRUE(is_allowed(constraint->allowed(), *tokenizer->eos()));
  EXPECT_FALSE(constraint->complete());
}

TEST(StructuredOutput, SharesWhatHasTheSameText) {
  const auto tokenizer = json_tokenizer();
  StructuredOutput structured(*tokenizer);
  EXPECT_EQ(structured.json_object(), structured.json_object());
  const auto a = structured.grammar("root ::= \"a\"");
  EXPECT_EQ(a, structured.grammar("root ::= \"a\""));
  EXPECT_NE(a, structured.grammar("root ::= \"b\""));
  for (int i = 0; i < 40; ++i) structured.grammar(fmt::format("root ::= \"a\"{{{}}}", i));
  EXPECT_FALSE(is_allowed(a->start()->allowed(), *tokenizer->eos()))
      << "dropped, but still held here";
}

// An answer that takes more states than are kept.
TEST(StructuredOutput, ForgettingStatesChangesNothing) {
  constexpr int kTokens = 70'000;
  // Many classes of bytes make large tables.
  const char* kGbnf =
      "root ::= ([a-z] | [^a-z] word \".\"){90000} \"end\"\n"
      "word ::= \"A\" \"B\" \"C\" \"D\" \"E\" \"F\" \"G\" \"H\" \"I\" \"J\" \"K\" \"L\" \"M\" "
      "\"N\" \"O\" "
      "\"P\" \"Q\" \"R\" \"S\" \"T\" \"U\" \"V\" \"W\" \"X\" \"Y\" \"Z\" \"0\" \"1\" \"2\" \"3\" "
      "\"4\" \"5\" \"6\" "
      "\"!\" \"?\" \";\" \",\" \":\" \"(\" \")\" \"[\" \"]\" \"/\" \"<\" \">\" \"+\" \"-\" \"*\"";
  {
    const auto compiled = compile_grammar(kGbnf);
    Automaton automaton(*compiled);
    auto state = automaton.start();
    for (int i = 0; i < kTokens; ++i) state = automaton.next(state, 'a');
    ASSERT_GT(automaton.bytes(), size_t{17} << 20) << "the test needs a larger grammar";
  }
  const auto tokenizer = json_tokenizer();
  StructuredOutput structured(*tokenizer);
  const auto constraint = structured.grammar(kGbnf)->start();
  for (int i = 0; i < kTokens; ++i) {
    constraint->accept('a');
    if (i % 7000 != 0) continue;
    EXPECT_TRUE(is_allowed(constraint->allowed(), 'x'));
    EXPECT_FALSE(is_allowed(constraint->allowed(), *tokenizer->eos()));
  }
}

TEST(StructuredOutput, ThreadsShareAGrammar) {
  const auto tokenizer = json_tokenizer();
  StructuredOutput structured(*tokenizer);
  const auto answers = [&](int seed) {
    std::mt19937 random(seed);
    std::vector<std::optional<std::string>> all;
    for (int i = 0; i < 4; ++i)
      all.push_back(testing::random_answer(*structured.json_object(), *tokenizer, random));
    return all;
  };
  std::vector<std::vector<std::optional<std::string>>> together(4);
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) threads.emplace_back([&, i] { together[i] = answers(i); });
  }
  for (int i = 0; i < 4; ++i) EXPECT_EQ(together[i], answers(i)) << i;
}

TEST(StructuredOutput, ErrorsPassThroughAndLeaveNothingBehind) {
  const auto tokenizer = json_tokenizer();
  StructuredOutput structured(*tokenizer);
  for (int i = 0; i < 2; ++i) {
    EXPECT_THROW(structured.grammar("root ::="
                                    "x"),
                 Error);
    EXPECT_THROW(structured.json_schema("{"), Error);
  }
}

}  // namespace
}  // namespace tessera
