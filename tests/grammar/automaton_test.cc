#include "grammar/automaton.h"

#include <gtest/gtest.h>

#include "grammar/grammar_support.h"

namespace tessera {
namespace {

using grammar::Automaton;
using testing::matches;

Automaton automaton_of(const Grammar& grammar, std::string_view text, grammar::StackSet& state) {
  Automaton automaton(grammar);
  state = automaton.start();
  for (const char c : text) state = automaton.next(state, static_cast<uint8_t>(c));
  return automaton;
}

TEST(Automaton, FollowsRecursion) {
  const auto nested = compile_grammar("root ::= \"(\" root* \")\" | \"[\" root* \"]\"");
  EXPECT_TRUE(matches(*nested, "([()][])"));
  EXPECT_FALSE(matches(*nested, "([)]"));
}

TEST(Automaton, EqualWaysHaveOneState) {
  const auto list = compile_grammar("root ::= item (\",\" item)*\nitem ::= [a-z]+");
  Automaton automaton(*list);
  const auto after = [&](std::string_view text) {
    auto state = automaton.start();
    for (const char c : text) state = automaton.next(state, static_cast<uint8_t>(c));
    return state;
  };
  EXPECT_EQ(after("a,x"), after("abc,de,xyz"));
  EXPECT_NE(after("a,x"), after("a,"));
}

TEST(Automaton, ARightRecursiveListNeedsNoStack) {
  const auto list =
      compile_grammar("root ::= \"a\" root | \"b\" other\nother ::= \"c\" root | \"d\"");
  grammar::StackSet state;
  const Automaton automaton = automaton_of(*list, "aaaabcaaaabcaaa", state);
  EXPECT_LE(automaton.depth(state), 2u);
}

// 2^n ways to read n characters stay a handful of frames.
TEST(Automaton, ExponentialAmbiguityStaysSmall) {
  for (const char* gbnf : {"root ::= \"a\" root | \"a\" root \"b\" | \"\"",
                           "root ::= (\"a\" | \"a\" root root)?", "root ::= (\"a\"* \"a\"*)* \"b\"",
                           "root ::= x x x x x x x x\nx ::= \"a\"* y?\ny ::= \"a\" x | \"b\""}) {
    const auto ambiguous = compile_grammar(gbnf);
    grammar::StackSet state;
    const Automaton automaton = automaton_of(*ambiguous, std::string(2000, 'a'), state);
    EXPECT_NE(state, Automaton::kDead) << gbnf;
    EXPECT_LE(automaton.size(state), 64u) << gbnf;
    EXPECT_LE(automaton.bytes(), size_t{64} << 20) << gbnf;
  }
}

TEST(Automaton, NestingStopsWhereItCanStillBeClosed) {
  const auto nested = compile_grammar("root ::= \"[\" (root (\",\" root)*)? \"]\"");
  Automaton automaton(*nested);
  auto state = automaton.start();
  size_t depth = 0;
  for (auto next = state; (next = automaton.next(state, '[')) != Automaton::kDead; ++depth)
    state = next;
  EXPECT_GE(depth, 900u);
  EXPECT_LE(depth, 1001u);
  for (size_t i = 0; i < depth; ++i) {
    state = automaton.next(state, ']');
    ASSERT_NE(state, Automaton::kDead) << i;
  }
  EXPECT_TRUE(automaton.ends(state));
}

TEST(Automaton, ForgettingChangesNothing) {
  const auto nested = compile_grammar("root ::= \"(\" root* \")\" | [a-z]+");
  Automaton automaton(*nested);
  const auto walk = [&] {
    auto state = automaton.start();
    for (const char c : std::string_view("((abc)x("))
      state = automaton.next(state, static_cast<uint8_t>(c));
    return automaton.size(state);
  };
  const auto before = walk();
  automaton.clear();
  EXPECT_EQ(walk(), before);
}

}  // namespace
}  // namespace tessera
