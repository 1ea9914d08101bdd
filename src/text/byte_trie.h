// A set of byte strings, each with a token, for finding all that begin at a place in a text.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "base/token.h"

namespace tessera {

class ByteTrie {
 public:
  // A word that occurs twice keeps its first token; an empty word is left out.
  explicit ByteTrie(std::vector<std::pair<std::string_view, Token>> words);

  // Calls visit(length, token) for each word that `text` begins with, shortest first.
  template <typename Visit>
  void visit_prefixes(std::string_view text, Visit&& visit) const {
    uint32_t node = 0;
    for (size_t i = 0; i < text.size(); ++i) {
      node = child(node, static_cast<uint8_t>(text[i]));
      if (node == 0) return;
      if (nodes_[node].token >= 0) visit(i + 1, nodes_[node].token);
    }
  }

 private:
  struct Node {
    uint32_t first_child = 0;  // the children lie side by side, in the order of their bytes
    uint16_t children = 0;
    uint8_t byte = 0;  // the last byte of the path to this node
    Token token = -1;  // of the word that ends here, -1 if none does
  };
  uint32_t child(uint32_t node, uint8_t byte) const;  // 0 (the root is no child) if there is none

  std::vector<Node> nodes_;
};

}  // namespace tessera
