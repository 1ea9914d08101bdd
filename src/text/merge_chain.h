// The loop that both BPE tokenizers share: join the best neighbours until none can be joined.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/token.h"

namespace tessera {

// A stretch of the text that is, so far, one token (or a byte without one).
struct Symbol {
  Token token;
  uint32_t begin, length;  // bytes; length 0: swallowed by the symbol to its left
  int32_t previous, next;  // neighbours that are left, -1 at the ends
};

// What two neighbours become. Lower ranks are joined first, then those further left.
template <typename Rank>
struct Merge {
  Rank rank;
  Token token;
};

// Joins symbols (set up as a chain, all of length > 0) until find_merge(left, right) gives nullopt
// for all neighbours. O(n log n): each join leaves at most two new pairs in the heap.
template <typename Rank, typename FindMerge>
void merge_symbols(std::vector<Symbol>& symbols, FindMerge&& find_merge) {
  struct Candidate {
    Rank rank;
    int32_t left, right;
    uint32_t length;  // of both together; another length later means that one of them has changed
    Token token;
    bool operator<(const Candidate& other) const {  // std heaps keep the largest on top
      return rank != other.rank ? rank > other.rank : left > other.left;
    }
  };
  std::vector<Candidate> heap;
  const auto consider = [&](int32_t left, int32_t right) {
    if (left < 0 || right < 0) return false;
    const Symbol& a = symbols[static_cast<size_t>(left)];
    const Symbol& b = symbols[static_cast<size_t>(right)];
    const std::optional<Merge<Rank>> merge = find_merge(a, b);
    if (merge) heap.push_back({merge->rank, left, right, a.length + b.length, merge->token});
    return merge.has_value();
  };
  for (size_t i = 1; i < symbols.size(); ++i)
    consider(static_cast<int32_t>(i - 1), static_cast<int32_t>(i));
  std::make_heap(heap.begin(), heap.end());

  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end());
    const Candidate best = heap.back();
    heap.pop_back();
    Symbol& left = symbols[static_cast<size_t>(best.left)];
    Symbol& right = symbols[static_cast<size_t>(best.right)];
    if (left.length == 0 || right.length == 0 || left.length + right.length != best.length)
      continue;
    left.token = best.token;
    left.length = best.length;
    right.length = 0;
    left.next = right.next;
    if (right.next >= 0) symbols[static_cast<size_t>(right.next)].previous = best.left;
    if (consider(left.previous, best.left)) std::push_heap(heap.begin(), heap.end());
    if (consider(best.left, left.next)) std::push_heap(heap.begin(), heap.end());
  }
}

}  // namespace tessera
