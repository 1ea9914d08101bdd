// What a model learns from: a text and what is to come behind each of its tokens.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "base/token.h"

namespace tessera::train {

inline constexpr Token kNothing = -1;  // as a target: whatever comes there does not count

struct Example {
  std::vector<Token> tokens;
  std::vector<Token> targets;  // of each token, which one comes next

  int rows() const { return static_cast<int>(tokens.size()); }
  int counting() const {
    return static_cast<int>(targets.size()) -
           static_cast<int>(std::ranges::count(targets, kNothing));
  }
};

// Each token of the text is to be followed by the next.
inline Example plain_example(std::span<const Token> text) {
  Example example{{text.begin(), text.end() - 1}, {text.begin() + 1, text.end()}};
  return example;
}

}  // namespace tessera::train
