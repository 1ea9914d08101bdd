#include "decode/suffix_automaton.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <span>

namespace tessera {
namespace {

using Text = std::vector<Token>;

bool ends_at(const Text& text, size_t end, std::span<const Token> part) {
  return part.size() <= end &&
         std::ranges::equal(std::span(text).subspan(end - part.size(), part.size()), part);
}

// By trying: the length of the longest end of `read` that occurs in `text`.
size_t longest_match(const Text& text, std::span<const Token> read) {
  for (size_t length = std::min(read.size(), text.size()); length > 0; --length) {
    for (size_t end = length; end <= text.size(); ++end) {
      if (ends_at(text, end, read.last(length))) return length;
    }
  }
  return 0;
}

std::map<Token, int> followers(const Text& text, std::span<const Token> part) {
  std::map<Token, int> count;
  for (size_t end = part.size(); end < text.size(); ++end) {
    if (ends_at(text, end, part)) ++count[text[end]];
  }
  return count;
}

void expect_successors(const SuffixAutomaton& automaton, SuffixAutomaton::Match match,
                       const std::map<Token, int>& expected) {
  std::vector<SuffixAutomaton::Successor> found;
  automaton.successors(match, found);
  std::map<Token, int> counts;
  for (const auto& next : found) {
    counts[next.token] = next.count;
    EXPECT_EQ(next.match.length, match.length + 1);
  }
  EXPECT_EQ(counts, expected);
}

TEST(SuffixAutomaton, FindsWhatTryingFinds) {
  std::mt19937 random(1);
  for (int alphabet = 2; alphabet <= 5; ++alphabet) {
    SuffixAutomaton automaton;
    SuffixAutomaton::Match own, others;
    Text text, other;
    for (int i = 0; i < 60; ++i) {
      const auto token = static_cast<Token>(random() % alphabet);
      own = automaton.read(own, token);
      const size_t length = [&] {
        Text read = text;
        read.push_back(token);
        return longest_match(text, read);
      }();
      ASSERT_EQ(own.length, length) << alphabet << " " << i;
      text.push_back(token);
      automaton.append(token);

      other.push_back(static_cast<Token>(random() % alphabet));
      others = automaton.read(others, other.back());
      // What was read before the text had grown may match less than it could by now, never more.
      const auto matched = std::span(other).last(others.length);
      ASSERT_GT(followers(text, matched).size() + ends_at(text, text.size(), matched), 0u);
      for (const auto& [match, read] :
           {std::pair{own, std::span<const Token>(text)}, {others, other}}) {
        if (match.length == 0) continue;
        expect_successors(automaton, match, followers(text, read.last(match.length)));
      }
    }
  }
}

// A text that repeats itself is one more occurrence of as many parts as it has tokens.
TEST(SuffixAutomaton, TakesTheSameTimeForRepetition) {
  SuffixAutomaton automaton;
  SuffixAutomaton::Match match;
  for (int i = 0; i < 200'000; ++i) {
    match = automaton.read(match, 7);
    automaton.append(7);
    ASSERT_EQ(match.length, i);
  }
}

TEST(SuffixAutomaton, AnEmptyMatchIsFollowedByNothing) {
  SuffixAutomaton automaton;
  automaton.append(1);
  expect_successors(automaton, {}, {});
  expect_successors(automaton, automaton.read({}, 2), {});
  EXPECT_EQ(automaton.size(), 1u);
}

}  // namespace
}  // namespace tessera
