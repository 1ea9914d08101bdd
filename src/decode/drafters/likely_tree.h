// Trees of what often followed.
#pragma once

#include "decode/suffix_automaton.h"
#include "decode/token_tree.h"

namespace tessera {

struct LikelyTree {
  TokenTree tree;
  double expected = 0;  // accepted nodes, if texts go on as they did before
};

// The likeliest continuations of a match, at most `nodes` of them, the likeliest first (the heap
// tree of suffix decoding, Oliaro et al. 2024, arXiv 2411.04975). A node's chance is that of its
// parent times its share of what followed there; those below `least` are left out.
// Negative tokens stand between texts and are not drafted.
LikelyTree likely_tree(const SuffixAutomaton& text, SuffixAutomaton::Match match, int nodes,
                       double least);

}  // namespace tessera
