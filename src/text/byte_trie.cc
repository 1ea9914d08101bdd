#include "text/byte_trie.h"

#include <algorithm>
#include <span>

namespace tessera {
namespace {

uint8_t byte_at(const std::pair<std::string_view, Token>& word, size_t depth) {
  return static_cast<uint8_t>(word.first[depth]);
}

}  // namespace

ByteTrie::ByteTrie(std::vector<std::pair<std::string_view, Token>> words) {
  std::stable_sort(words.begin(), words.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  nodes_.emplace_back();

  // Breadth first, one level at a time, so that deep words cannot exhaust the stack.
  struct Pending {
    uint32_t node;
    std::span<const std::pair<std::string_view, Token>> words;  // those below the node
    size_t depth;
  };
  std::vector<Pending> queue = {{0, words, 0}};
  for (size_t next = 0; next < queue.size(); ++next) {
    auto [node, below, depth] = queue[next];
    // Sorted, the words that end at this node come first.
    if (depth > 0 && below[0].first.size() == depth) nodes_[node].token = below[0].second;
    while (!below.empty() && below[0].first.size() == depth) below = below.subspan(1);
    nodes_[node].first_child = static_cast<uint32_t>(nodes_.size());
    while (!below.empty()) {
      const uint8_t byte = byte_at(below[0], depth);
      size_t same = 1;
      while (same < below.size() && byte_at(below[same], depth) == byte) ++same;
      queue.push_back({static_cast<uint32_t>(nodes_.size()), below.first(same), depth + 1});
      nodes_.push_back({0, 0, byte, -1});
      ++nodes_[node].children;
      below = below.subspan(same);
    }
  }
}

uint32_t ByteTrie::child(uint32_t node, uint8_t byte) const {
  const auto first = nodes_.begin() + nodes_[node].first_child;
  const auto last = first + nodes_[node].children;
  const auto found =
      std::lower_bound(first, last, byte, [](const Node& n, uint8_t b) { return n.byte < b; });
  return found != last && found->byte == byte ? static_cast<uint32_t>(found - nodes_.begin()) : 0;
}

}  // namespace tessera
