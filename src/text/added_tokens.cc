#include "text/added_tokens.h"

#include <algorithm>
#include <utility>

#include "text/characters.h"

namespace tessera {

AddedTokens::AddedTokens(std::span<const Entry> entries) : trie_({}) {
  std::vector<std::pair<std::string_view, Token>> words;
  for (const auto& [text, token] : entries) {
    if (text.empty()) continue;
    const auto id = static_cast<Token>(token.id);
    words.emplace_back(text, id);
    first_bytes_.set(static_cast<unsigned char>(text[0]));
    flags_[id] = {token.single_word, token.strips_left, token.strips_right};
  }
  trie_ = ByteTrie(std::move(words));
}

AddedTokens::Found AddedTokens::find(std::string_view text, size_t place) const {
  Found longest;
  if (!first_bytes_[static_cast<unsigned char>(text[place])]) return longest;
  trie_.visit_prefixes(text.substr(place), [&](size_t length, Token token) {
    longest = {token, length};
  });
  return longest;
}

void AddedTokens::take(std::string_view text, Token token, size_t begin, size_t end, size_t& done,
                       std::vector<Fragment>& fragments) const {
  const Flags flags = flags_.at(token);
  const auto is_word = [](char32_t c) { return c != 0 && is_word_character(c); };
  if (flags.single_word && ((begin > 0 && is_word(last_character(text.substr(0, begin)))) ||
                            (end < text.size() && is_word(first_character(text.substr(end))))))
    return;
  size_t outer_begin = begin, outer_end = end;
  if (flags.strips_left)
    outer_begin = std::max(begin - trailing_white_space(text.substr(0, begin)), done);
  if (flags.strips_right) outer_end += leading_white_space(text.substr(end));
  if (done < outer_begin) fragments.push_back({kNoToken, text.substr(done, outer_begin - done)});
  fragments.push_back({token, text.substr(begin, end - begin)});
  // A token of white space may have been taken along by the one before it, and yet counts.
  done = outer_end;
}

}  // namespace tessera
