// The texts of a vocabulary's tokens as tries, laid out depth first: to pass over what lies below
// a node is one jump, and a walk reads memory in order.
//
// Tokens of plain text (plain_text.h) are grouped by their length, a trie each: where a grammar
// allows so much plain text, all of a group is allowed.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/token.h"
#include "text/tokenizer.h"

namespace tessera::grammar {

using Mask = std::vector<uint64_t>;  // bit t % 64 of word t / 64: token t

inline void set(Mask& mask, Token token) {
  mask[static_cast<size_t>(token) / 64] |= uint64_t{1} << (token % 64);
}

class TokenTrie {
 public:
  // Leaves out tokens without text, and those that end an answer: see end_tokens(). Keeps a
  // reference.
  explicit TokenTrie(const Tokenizer& tokenizer);

  struct Group {
    uint32_t root;
    uint32_t shortest, longest;  // of its tokens, in characters of plain text; 0: not plain
    Mask tokens;
    bool is_plain() const { return longest > 0; }
  };
  std::span<const Group> groups() const { return groups_; }  // plain ones from short to long
  uint32_t longest_plain() const { return longest_plain_; }  // in characters

  struct Node {
    uint32_t end;          // past the last node below
    uint32_t first_token;  // those that end here, up to those of the next node
    uint32_t depth;        // bytes on the way here; 0 for a root
    uint8_t byte;          // the last of them
  };
  const Node& node(uint32_t index) const { return nodes_[index]; }
  std::span<const Token> tokens(uint32_t index) const {
    return std::span(tokens_).subspan(nodes_[index].first_token,
                                      nodes_[index + 1].first_token - nodes_[index].first_token);
  }
  // What the token stands for; empty for tokens that are left out.
  std::string_view text(Token token) const;
  // The tokens that the tokenizer makes of a part of a text.
  std::vector<Token> cut(std::string_view text) const {
    return tokenizer_.encode(text, {.add_special = false, .parse_special = false});
  }
  std::span<const Token> end_tokens() const { return end_tokens_; }
  size_t vocabulary_size() const { return text_at_.size() - 1; }
  size_t longest() const { return longest_; }  // in bytes

 private:
  const Tokenizer& tokenizer_;
  void add_group(std::vector<Token> tokens);

  std::vector<Group> groups_;
  std::vector<Node> nodes_;  // and one past the last
  std::vector<Token> tokens_, end_tokens_;
  std::string texts_;
  std::vector<uint32_t> text_at_;  // in texts_, of each token, and one past the last
  size_t longest_ = 0;
  uint32_t longest_plain_ = 0;
};

}  // namespace tessera::grammar
