#include "text/special_tokens.h"

#include <algorithm>
#include <functional>
#include <set>
#include <utility>

namespace tessera {
namespace {

// isspace of the C locale, which is what llama.cpp strips.
bool is_ascii_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

ByteTrie make_trie(const Vocabulary& vocabulary) {
  std::vector<std::pair<std::string_view, Token>> words;
  for (const Token token : vocabulary.special_tokens())
    words.emplace_back(vocabulary.text(token), token);
  return ByteTrie(std::move(words));
}

}  // namespace

SpecialTokens::SpecialTokens(const Vocabulary& vocabulary)
    : vocabulary_(vocabulary), trie_(make_trie(vocabulary)) {
  for (const Token token : vocabulary.special_tokens()) {
    first_bytes_.set(static_cast<unsigned char>(vocabulary.text(token)[0]));
  }
}

std::vector<SpecialTokens::Match> SpecialTokens::find_matches(
    std::string_view text, bool parse_special, std::span<const size_t> literal) const {
  const auto visit_tokens_at = [&](size_t place, auto&& visit) {
    const auto next_literal = std::lower_bound(literal.begin(), literal.end(), place);
    const size_t next = next_literal == literal.end() ? text.size() : *next_literal;
    trie_.visit_prefixes(text.substr(place), [&](size_t length, Token token) {
      if (!parse_special && vocabulary_.needs_parse_special(token)) return;
      if (next < place + length && vocabulary_.steers(token)) return;
      visit(length, token);
    });
  };
  std::vector<size_t> places;                      // where at least one token begins
  std::set<size_t, std::greater<size_t>> lengths;  // of the tokens that occur
  for (size_t place = 0; place < text.size(); ++place) {
    if (!first_bytes_[static_cast<unsigned char>(text[place])]) continue;
    visit_tokens_at(place, [&](size_t length, Token) {
      if (places.empty() || places.back() != place) places.push_back(place);
      lengths.insert(length);
    });
  }

  std::vector<Match> matches;
  std::vector<bool> taken(places.empty() ? 0 : text.size());
  for (const size_t wanted : lengths) {
    for (const size_t place : places) {
      const size_t end = place + wanted;
      // All earlier matches are at least as long, so one that overlaps covers one of the ends.
      if (end > text.size() || taken[place] || taken[end - 1]) continue;
      visit_tokens_at(place, [&](size_t length, Token token) {
        if (length != wanted) return;
        Match match = {token, place, end, place, end};
        while (vocabulary_.strips_left(token) && match.outer_begin > 0 &&
               !taken[match.outer_begin - 1] && is_ascii_space(text[match.outer_begin - 1])) {
          --match.outer_begin;
        }
        while (vocabulary_.strips_right(token) && match.outer_end < text.size() &&
               !taken[match.outer_end] && is_ascii_space(text[match.outer_end])) {
          ++match.outer_end;
        }
        std::fill(taken.begin() + static_cast<ptrdiff_t>(match.outer_begin),
                  taken.begin() + static_cast<ptrdiff_t>(match.outer_end), true);
        matches.push_back(match);
      });
    }
  }
  std::sort(matches.begin(), matches.end(),
            [](const Match& a, const Match& b) { return a.begin < b.begin; });
  return matches;
}

std::vector<Fragment> SpecialTokens::partition(std::string_view text, bool parse_special,
                                               std::span<const size_t> literal) const {
  std::vector<Fragment> fragments;
  size_t done = 0;
  const auto add_text = [&](size_t end) {
    if (end > done) fragments.push_back({kNoToken, text.substr(done, end - done)});
  };
  for (const Match& match : find_matches(text, parse_special, literal)) {
    add_text(match.outer_begin);
    fragments.push_back({match.token, text.substr(match.begin, match.end - match.begin)});
    done = match.outer_end;
  }
  add_text(text.size());
  return fragments;
}

}  // namespace tessera
