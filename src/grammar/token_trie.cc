#include "grammar/token_trie.h"

#include <algorithm>
#include <array>

#include "grammar/plain_text.h"

namespace tessera::grammar {
namespace {

// Of plain tokens, in characters: the longest of each group. First what is not plain.
constexpr std::array<uint32_t, 16> kGroups = {0, 1, 2,  3,  4,  5,  6,  7,
                                              8, 9, 10, 11, 12, 16, 24, UINT32_MAX};

}  // namespace

TokenTrie::TokenTrie(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {
  const auto size = static_cast<Token>(tokenizer.vocabulary_size());
  std::array<std::vector<Token>, kGroups.size()> members;
  for (Token token = 0; token < size; ++token) {
    text_at_.push_back(static_cast<uint32_t>(texts_.size()));
    if (tokenizer.is_end_of_generation(token)) {
      end_tokens_.push_back(token);
      continue;
    }
    const std::string piece = tokenizer.piece(token);  // empty for control tokens
    if (piece.empty()) continue;
    const uint32_t plain = plain_characters(piece);
    members[std::ranges::lower_bound(kGroups, plain) - kGroups.begin()].push_back(token);
    texts_ += piece;
    longest_ = std::max(longest_, piece.size());
    longest_plain_ = std::max(longest_plain_, plain);
  }
  text_at_.push_back(static_cast<uint32_t>(texts_.size()));
  for (std::vector<Token>& group : members)
    if (!group.empty()) add_group(std::move(group));
  nodes_.push_back(
      {.end = 0, .first_token = static_cast<uint32_t>(tokens_.size()), .depth = 0, .byte = 0});
}

void TokenTrie::add_group(std::vector<Token> tokens) {
  std::ranges::stable_sort(tokens, {}, [this](Token token) { return text(token); });
  const auto end = [this] { return static_cast<uint32_t>(nodes_.size()); };
  const auto add_node = [this](size_t depth, char byte) {
    nodes_.push_back({.end = 0,
                      .first_token = static_cast<uint32_t>(tokens_.size()),
                      .depth = static_cast<uint32_t>(depth),
                      .byte = static_cast<uint8_t>(byte)});
  };
  Group group{.root = end(),
              .shortest = UINT32_MAX,
              .longest = 0,
              .tokens = Mask((vocabulary_size() + 63) / 64)};
  std::vector<uint32_t> path = {end()};  // the nodes of the token before
  add_node(0, 0);
  std::string_view before;
  for (const Token token : tokens) {
    const std::string_view now = text(token);
    const auto shared = static_cast<size_t>(std::ranges::mismatch(now, before).in1 - now.begin());
    for (; path.size() > shared + 1; path.pop_back()) nodes_[path.back()].end = end();
    for (size_t i = shared; i < now.size(); ++i) {
      path.push_back(end());
      add_node(i + 1, now[i]);
    }
    tokens_.push_back(token);
    set(group.tokens, token);
    group.shortest = std::min(group.shortest, plain_characters(now));
    group.longest = std::max(group.longest, plain_characters(now));
    before = now;
  }
  for (const uint32_t node : path) nodes_[node].end = end();
  groups_.push_back(std::move(group));
}

std::string_view TokenTrie::text(Token token) const {
  if (token < 0 || static_cast<size_t>(token) >= vocabulary_size()) return {};
  const auto index = static_cast<size_t>(token);
  return std::string_view(texts_).substr(text_at_[index], text_at_[index + 1] - text_at_[index]);
}

}  // namespace tessera::grammar
