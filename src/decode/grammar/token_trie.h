// The texts of a vocabulary's tokens as a trie, laid out breadth first: the children of a node lie
// side by side, and so do the tokens that end at it.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/token.h"
#include "text/tokenizer.h"

namespace tessera::grammar {

class TokenTrie {
 public:
  // Leaves out tokens without text, and those that end an answer: see end_tokens().
  explicit TokenTrie(const Tokenizer& tokenizer);

  static constexpr uint32_t kRoot = 0;
  struct Range {
    uint32_t first, last;  // past the end
  };
  Range children(uint32_t node) const { return {first_child_[node], first_child_[node + 1]}; }
  uint8_t byte(uint32_t node) const { return bytes_[node]; }  // the last one on the way to `node`
  std::span<const Token> tokens(uint32_t node) const {
    return std::span(tokens_).subspan(first_token_[node],
                                      first_token_[node + 1] - first_token_[node]);
  }
  // What the token stands for; empty for tokens that are left out.
  std::string_view text(Token token) const;
  std::span<const Token> end_tokens() const { return end_tokens_; }
  bool is_end(Token token) const;
  size_t vocabulary_size() const { return text_at_.size() - 1; }
  size_t longest() const { return longest_; }

 private:
  std::vector<uint32_t> first_child_, first_token_;  // of each node, and one past the last
  std::vector<uint8_t> bytes_;
  std::vector<Token> tokens_, end_tokens_;
  std::string texts_;
  std::vector<uint32_t> text_at_;  // in texts_, of each token, and one past the last
  size_t longest_ = 0;
};

}  // namespace tessera::grammar
