// Candidate continuations of a text, for one verifying step.
#pragma once

#include <cstdint>
#include <vector>

#include "base/token.h"

namespace tessera {

// Node i's token follows node parents[i] < i, or the text itself if that is -1. So the first nodes
// of a tree are a tree.
struct TokenTree {
  std::vector<Token> tokens;
  std::vector<int32_t> parents;

  int size() const { return static_cast<int>(tokens.size()); }
  void add(Token token, int32_t parent) {
    tokens.push_back(token);
    parents.push_back(parent);
  }
  // Drops all but the first `nodes` nodes.
  void truncate(int nodes) {
    if (nodes >= size()) return;
    tokens.resize(static_cast<size_t>(nodes));
    parents.resize(static_cast<size_t>(nodes));
  }
};

}  // namespace tessera
