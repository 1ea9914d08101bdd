#include "decode/grammar/token_trie.h"

#include <algorithm>

namespace tessera::grammar {

TokenTrie::TokenTrie(const Tokenizer& tokenizer) {
  const auto size = static_cast<Token>(tokenizer.vocabulary_size());
  std::vector<Token> order;
  for (Token token = 0; token < size; ++token) {
    text_at_.push_back(static_cast<uint32_t>(texts_.size()));
    if (tokenizer.is_end_of_generation(token)) {
      end_tokens_.push_back(token);
      continue;
    }
    const std::string piece = tokenizer.piece(token);  // empty for control tokens
    if (piece.empty()) continue;
    order.push_back(token);
    texts_ += piece;
    longest_ = std::max(longest_, piece.size());
  }
  text_at_.push_back(static_cast<uint32_t>(texts_.size()));
  std::ranges::stable_sort(order, {}, [this](Token token) { return text(token); });

  struct Pending {
    std::span<const Token> below;  // tokens that begin with the node's text, sorted
    size_t depth;
  };
  std::vector<Pending> queue = {{order, 0}};
  bytes_.push_back(0);
  for (size_t next = 0; next < queue.size(); ++next) {
    auto [below, depth] = queue[next];
    first_token_.push_back(static_cast<uint32_t>(tokens_.size()));
    for (; !below.empty() && text(below[0]).size() == depth; below = below.subspan(1))
      tokens_.push_back(below[0]);
    first_child_.push_back(static_cast<uint32_t>(queue.size()));
    while (!below.empty()) {
      const char byte = text(below[0])[depth];
      size_t same = 1;
      while (same < below.size() && text(below[same])[depth] == byte) ++same;
      queue.push_back({below.first(same), depth + 1});
      bytes_.push_back(static_cast<uint8_t>(byte));
      below = below.subspan(same);
    }
  }
  first_token_.push_back(static_cast<uint32_t>(tokens_.size()));
  first_child_.push_back(static_cast<uint32_t>(queue.size()));
}

std::string_view TokenTrie::text(Token token) const {
  if (token < 0 || static_cast<size_t>(token) >= vocabulary_size()) return {};
  const auto index = static_cast<size_t>(token);
  return std::string_view(texts_).substr(text_at_[index], text_at_[index + 1] - text_at_[index]);
}

bool TokenTrie::is_end(Token token) const {
  return std::ranges::binary_search(end_tokens_, token);
}

}  // namespace tessera::grammar
