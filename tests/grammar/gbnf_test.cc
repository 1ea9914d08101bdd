#include "grammar/gbnf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/utf8.h"
#include "grammar/grammar.h"
#include "grammar/grammar_support.h"

namespace tessera {
namespace {

using ::testing::HasSubstr;
using testing::matches;

std::string error_of(std::string_view gbnf) {
  try {
    compile_grammar(gbnf);
  } catch (const Error& error) {
    EXPECT_EQ(std::string_view(error.what()).find('\n'), std::string_view::npos);
    return error.what();
  }
  return "no error";
}

TEST(Gbnf, Literals) {
  EXPECT_TRUE(matches(R"(root ::= "yes")", "yes"));
  EXPECT_FALSE(matches(R"(root ::= "yes")", "ye"));
  EXPECT_FALSE(matches(R"(root ::= "yes")", "yess"));
  EXPECT_TRUE(matches(R"(root ::= "a" "" "b")", "ab"));
  EXPECT_TRUE(matches(R"(root ::= "\"\\\n\t\r\x41\u00e9\U0001F600[\[\]")", "\"\\\n\t\rAé😀[[]"));
  EXPECT_TRUE(matches("root ::= \"日本\"", "日本"));
}

TEST(Gbnf, Classes) {
  const char* kLetters = "root ::= [a-cx\\-é\\]]";
  for (const char* text : {"a", "b", "c", "x", "-", "é", "]"})
    EXPECT_TRUE(matches(kLetters, text)) << text;
  for (const char* text : {"d", "", "ab", "è", "["}) EXPECT_FALSE(matches(kLetters, text)) << text;
  for (const char* text : {"b", "\n", "日", "😀", "\x7F"})
    EXPECT_TRUE(matches("root ::= [^a]", text)) << text;
  EXPECT_FALSE(matches("root ::= [^a]", "a"));
  EXPECT_FALSE(matches("root ::= [^a]", "\xFF")) << "only UTF-8";
  EXPECT_FALSE(matches("root ::= [^a]", "\xED\xA0\x80")) << "a surrogate";
  EXPECT_FALSE(matches("root ::= [^a]", "\xC0\x80")) << "not the shortest form";
  EXPECT_TRUE(matches("root ::= .", "\n"));
  EXPECT_TRUE(matches("root ::= [a-]", "-"));
}

TEST(Gbnf, EveryCharacterHasItsBytes) {
  // Ranges that begin and end anywhere match exactly the characters within.
  std::mt19937 random(1);
  for (int i = 0; i < 60; ++i) {
    const auto some = [&] {
      const uint32_t c = random() >> (11 + random() % 21);
      return c >= 0xD800 && c <= 0xDFFF ? 0xD7FFu : std::min(c, grammar::kMaxCodePoint);
    };
    const uint32_t a = some(), b = some(), low = std::min(a, b), high = std::max(a, b);
    const Grammar compiled(grammar::Syntax{{{"root", grammar::chars({{low, high}})}}, 0});
    for (const uint32_t c : {low, high, low - 1, high + 1, some(), some(), (low + high) / 2}) {
      if (c > grammar::kMaxCodePoint || (c >= 0xD800 && c <= 0xDFFF)) continue;
      std::string text;
      append_utf8(text, c);
      EXPECT_EQ(matches(compiled, text), low <= c && c <= high) << low << ' ' << high << ' ' << c;
    }
  }
}

TEST(Gbnf, Repetitions) {
  const auto lengths = [](std::string_view repetition) {
    const auto compiled = compile_grammar(fmt::format(
        "root ::= \"<\" item{} \">\"\nitem ::= [ab] other? \".\"\nother ::= \"o\"", repetition));
    std::string found;
    std::string items;
    for (int n = 0; n < 9; ++n, items += n % 2 == 0 ? "a." : "bo.")
      if (matches(*compiled, fmt::format("<{}>", items))) found += std::to_string(n);
    return found;
  };
  EXPECT_EQ(lengths("*"), "012345678");
  EXPECT_EQ(lengths("+"), "12345678");
  EXPECT_EQ(lengths("?"), "01");
  EXPECT_EQ(lengths("{3}"), "3");
  EXPECT_EQ(lengths("{3,}"), "345678");
  EXPECT_EQ(lengths("{2,4}"), "234");
  EXPECT_EQ(lengths("{0,2}"), "012");
  EXPECT_EQ(lengths("{,2}"), "012");
  EXPECT_EQ(lengths("{ 1 , 2 }"), "12");
  EXPECT_EQ(lengths("{0}"), "0");
  EXPECT_EQ(lengths("{0,0}"), "0");
  EXPECT_EQ(lengths("{2}{2}"), "4");
  EXPECT_EQ(lengths("+?"), "012345678");
}

TEST(Gbnf, RepeatingWhatMayBeEmpty) {
  for (const char* repetition : {"*", "+", "{0,9}", "{9}", "{2,}"}) {
    const auto compiled =
        compile_grammar(std::string("root ::= (\"a\"? [b]*)") + repetition + " \".\"");
    for (const char* text : {".", "a.", "aba.", "bbaab."})
      EXPECT_TRUE(matches(*compiled, text)) << repetition << text;
    EXPECT_FALSE(matches(*compiled, "ac.")) << repetition;
  }
  EXPECT_FALSE(matches("root ::= (\"a\"?){3}", "aaaa"));
}

TEST(Gbnf, LinesCommentsAndGroups) {
  const char* kGrammar = R"(
# what a list is
root ::= (
    # a first item
    item

    (", " item)*   # and others
) "."
item ::= "a" |
  "b"     # on the next line
  | "c"
unused-Rule_2 ::= item
)";
  EXPECT_TRUE(matches(kGrammar, "a, b, c."));
  EXPECT_FALSE(matches(kGrammar, "a, "));
  EXPECT_TRUE(matches("root ::=\r\n \"a\"\r\n", "a"));
  EXPECT_TRUE(matches("root ::= | \"a\"", ""));
  EXPECT_TRUE(matches("root ::= ( | \"a\")", "a"));
}

TEST(Gbnf, GrammarsAsPeopleWriteThem) {
  const char* kArithmetic = R"x(
root  ::= (expr "=" ws term "\n")+
expr  ::= term ([-+*/] term)*
term  ::= ident | num | "(" ws expr ")" ws
ident ::= [a-z] [a-z0-9_]* ws
num   ::= [0-9]+ ws
ws    ::= [ \t\n]*
)x";
  EXPECT_TRUE(matches(kArithmetic, "a+(b1 *22) = 3\nx=y\n"));
  EXPECT_FALSE(matches(kArithmetic, "a+ = 3\n"));

  const char* kChess = R"x(
root   ::= ("1. " move " " move "\n" ([1-9] [0-9]? ". " move " " move "\n")*)
move   ::= (pawn | piece | castle) [+#]?
piece  ::= [NBKQR] [a-h]? [1-8]? "x"? [a-h] [1-8]
pawn   ::= ([a-h] "x")? [a-h] [1-8] ("=" [NBQR])?
castle ::= "O-O" "-O"?
)x";
  EXPECT_TRUE(matches(kChess, "1. e4 e5\n2. Nf3 Nc6\n3. O-O O-O-O+\n"));
  EXPECT_FALSE(matches(kChess, "1. e4 e9\n"));

  const char* kJson = R"x(
root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws
object ::= "{" ws (string ":" ws value ("," ws string ":" ws value)*)? "}" ws
array  ::= "[" ws (value ("," ws value)*)? "]" ws
string ::= "\"" ([^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}))* "\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws
ws     ::= | " " | "\n" [ \t]{0,20}
)x";
  EXPECT_TRUE(matches(kJson, "{\"a\": [1, {\"b\":null}], \"é\\u00e9\": -1.5e3}\n"));
  EXPECT_FALSE(matches(kJson, "{\"a\": [1, {\"b\":null}, \"é\": 1}"));
}

TEST(Gbnf, ErrorsSayWhere) {
  EXPECT_THAT(error_of(""), HasSubstr("no rule 'root'"));
  EXPECT_THAT(error_of("rot ::= \"a\""), HasSubstr("no rule 'root'"));
  EXPECT_THAT(error_of("root ::= \"a\" item"),
              HasSubstr("line 1, column 14: there is no rule 'item'"));
  EXPECT_THAT(error_of("root ::= \"a\nb\""), HasSubstr("line 1, column 12: expected '\"'"));
  EXPECT_THAT(error_of("root ::= [a-\n"),
              HasSubstr("line 1, column 13: expected the end of a range"));
  EXPECT_THAT(error_of("root ::= []"), HasSubstr("no characters"));
  EXPECT_THAT(error_of("root ::= [b-a]"), HasSubstr("before its beginning"));
  EXPECT_THAT(error_of("root ::= (\"a\"\n\nx ::= \"b\""),
              HasSubstr("line 3, column 3: expected ')'"));
  EXPECT_THAT(error_of("root ::= \"a\"\nroot ::= \"b\""),
              HasSubstr("line 2, column 1: the rule 'root' is there twice"));
  EXPECT_THAT(error_of("root = \"a\""), HasSubstr("line 1, column 6: expected '::='"));
  EXPECT_THAT(error_of("root ::= \"\\q\""), HasSubstr("expected an escape"));
  EXPECT_THAT(error_of("root ::= \"\\u12\""), HasSubstr("4 hexadecimal digits"));
  EXPECT_THAT(error_of("root ::= \"\\uD800\""), HasSubstr("no character"));
  EXPECT_THAT(error_of("root ::= \"\xFF\""), HasSubstr("not UTF-8"));
  EXPECT_THAT(error_of("root ::= \"a\"{2,1}"), HasSubstr("1 is less than 2"));
  EXPECT_THAT(error_of("root ::= \"a\"{x}"), HasSubstr("expected a count"));
  EXPECT_THAT(error_of("root ::= *"), HasSubstr("line 1, column 10"));
  EXPECT_THAT(error_of("root ::= <think>"), HasSubstr("tokens"));
  EXPECT_THAT(error_of(")"), HasSubstr("line 1, column 1: expected the name of a rule, found ')'"));
}

TEST(Gbnf, LeftRecursionIsRefusedWithItsCircle) {
  EXPECT_THAT(error_of("root ::= root \"a\" | \"b\""), HasSubstr("left recursion: 'root' ->"));
  EXPECT_THAT(error_of("root ::= a\na ::= \"x\"? b\nb ::= (\"y\"*) a \"z\" | \"q\""),
              HasSubstr("left recursion: 'a' -> 'b' ->"));
  EXPECT_THAT(error_of("root ::= e root \"a\" | \"b\"\ne ::= \"\" | \"x\""),
              HasSubstr("left recursion"));
  EXPECT_THAT(error_of("root ::= (root)*"), HasSubstr("left recursion"));
  EXPECT_THAT(error_of("root ::= \"a\" root | \"b\""), HasSubstr("no error"));
}

TEST(Gbnf, WhatCanNeverEndIsRefused) {
  EXPECT_THAT(error_of("root ::= \"a\" root"), HasSubstr("can never end"));
  EXPECT_THAT(error_of("root ::= a\na ::= \"x\" b\nb ::= \"y\" a"), HasSubstr("can never end"));
  // Only the hopeless way is cut off.
  const auto compiled =
      compile_grammar("root ::= \"a\" | \"b\" endless\nendless ::= \"c\" endless");
  grammar::Automaton automaton(*compiled);
  EXPECT_NE(automaton.next(automaton.start(), 'a'), grammar::Automaton::kDead);
  EXPECT_EQ(automaton.next(automaton.start(), 'b'), grammar::Automaton::kDead);
}

TEST(Gbnf, HugeGrammarsAreRefusedOrBuiltQuickly) {
  EXPECT_THAT(error_of("root ::= \"a\"{0,100000}"), HasSubstr("no error"));
  EXPECT_THAT(error_of("root ::= (\"ab\" [c-e]){1000}{1000}"),
              HasSubstr("no error"));  // 2000 calls
  EXPECT_THAT(error_of("root ::= [a]{1000}{1000}{1000}"), HasSubstr("no error"));
  EXPECT_THAT(error_of("root ::= \"a\"{100000} \"b\"{100000} \"c\"{100000}"),
              HasSubstr("too large"));
  EXPECT_THAT(error_of("root ::= \"a\"{0,100001}"), HasSubstr("100000 repetitions"));
  EXPECT_THAT(error_of("root ::= \"a\"{99999999999999999999}"), HasSubstr("repetitions"));
  EXPECT_THAT(error_of(fmt::format("root ::= {:(>1000}{:)>1000}", "", "")),
              HasSubstr("groups in groups"));
  EXPECT_THAT(error_of(fmt::format("root ::= \"a\"{:*>1000}", "")),
              HasSubstr("too many repetitions"));
  EXPECT_THAT(error_of(std::string(300 << 10, ' ')), HasSubstr("bytes are too many"));
  std::string chain = "root ::= r0\n";
  for (int i = 0; i < 2500; ++i) chain += fmt::format("r{} ::= \"a\" r{} \"b\"\n", i, i + 1);
  EXPECT_THAT(error_of(chain + "r2500 ::= \"c\""), HasSubstr("within 1000 calls"));
}

}  // namespace
}  // namespace tessera
