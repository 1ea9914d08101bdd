// Trees of what may come next, grown from the guesses of several sources.
#pragma once

#include <memory>
#include <vector>

#include "decode/guess_source.h"
#include "decode/hit_rates.h"
#include "decode/token_tree.h"

namespace tessera {

// A source, and how often its guesses are right: in this sequence, and in all.
struct RatedSource {
  std::unique_ptr<GuessSource> source;
  HitRates rates;
  std::shared_ptr<HitRates> common = {};
};

struct GuessTree {
  TokenTree tree;
  std::vector<double> chances;  // that a node is accepted; descending
};

// The likeliest continuations, the likeliest first (the heap tree of suffix decoding, Oliaro et al.
// 2024, arXiv 2411.04975, over several sources): at most `nodes`, none with a chance below `least`.
// A node's chance is its parent's times that of its guess; where sources guess alike, the surest
// counts.
GuessTree grow_tree(std::span<const RatedSource> sources, int nodes, double least);

}  // namespace tessera
