#include "decode/drafters/likely_tree.h"

#include <queue>

namespace tessera {
namespace {

// One occurrence says less than many: of k occurrences that all went on alike, the next does in k +
// 1 of k + 2 cases (Laplace's rule of succession); the length of the match speaks for it as well.
double share(int count, int total, int match_length) {
  const double seen = total + match_length;
  return (seen + 1) / (seen + 2) * count / total;
}

struct Candidate {
  double chance;
  int order;  // of discovery, so that equal chances have an order too
  int32_t parent;
  Token token;
  SuffixAutomaton::Match match;

  bool operator<(const Candidate& other) const {
    return chance != other.chance ? chance < other.chance : order > other.order;
  }
};

}  // namespace

LikelyTree likely_tree(const SuffixAutomaton& text, SuffixAutomaton::Match match, int nodes,
                       double least) {
  LikelyTree likely;
  std::priority_queue<Candidate> candidates;
  std::vector<SuffixAutomaton::Successor> successors;
  int order = 0;
  const auto add_children = [&](SuffixAutomaton::Match at, int32_t parent, double chance) {
    text.successors(at, successors);
    int total = 0;
    for (const auto& next : successors) total += next.count;
    for (const auto& next : successors) {
      if (next.token < 0) continue;  // a text ended here
      const double own = chance * share(next.count, total, at.length);
      if (own >= least) candidates.push({own, order++, parent, next.token, next.match});
    }
  };
  add_children(match, -1, 1);
  while (!candidates.empty() && likely.tree.size() < nodes) {
    const Candidate best = candidates.top();
    candidates.pop();
    likely.tree.add(best.token, best.parent);
    likely.expected += best.chance;
    add_children(best.match, likely.tree.size() - 1, best.chance);
  }
  return likely;
}

}  // namespace tessera
