// Trees of what may come next, grown from the guesses of several sources.
#pragma once

#include <memory>
#include <vector>

#include "decode/guess_source.h"
#include "decode/hit_rates.h"
#include "decode/token_tree.h"
#include "grammar/constraint.h"

namespace tessera {

// A source, and how often its guesses are right: in this sequence, and in all.
struct RatedSource {
  std::unique_ptr<GuessSource> source;
  HitRates rates;
  std::shared_ptr<HitRates> common = {};
};

// What the sources claim of a token, alone and after others, against how often it came: they may
// agree because they saw the same, or because it is so.
class Claims {
 public:
  static int bucket(double claimed, bool is_first);
  Claims();
  double chance(int bucket) const { return rates_.rate(bucket); }
  void observe(int bucket, bool hit) { rates_.observe(bucket, hit); }

 private:
  HitRates rates_;
};

struct GuessTree {
  TokenTree tree;
  std::vector<double> chances;  // that a node is accepted; descending
  std::vector<int> claims;      // the bucket of each, after its parent
};

// The likeliest continuations, the likeliest first (the heap tree of suffix decoding, Oliaro et al.
// 2024, arXiv 2411.04975, over several sources): at most `nodes`, none with a chance below `least`.
// A node's chance is its parent's times that of its guess, as `claims` knows it. The surest source
// is believed; what the others say beside is for the chance that it leaves.
GuessTree grow_tree(std::span<const RatedSource> sources, const Claims& claims, int nodes,
                    double least);

// Drops what the constraint of the answer so far forbids, and what hangs below; as much of it as is
// found out by the deadline.
void prune(GuessTree& grown, const Constraint& constraint, Deadline deadline);

}  // namespace tessera
