// The drafters that Tessera comes with, a file each; registry.cc lists them.
#pragma once

#include <vector>

#include "decode/decoder.h"
#include "decode/drafters/guessing_drafter.h"

namespace tessera {

// What followed the last tokens when they last occurred is likely to follow again (prompt lookup
// decoding, Saxena 2023; with suffix automata, Hu et al. 2024, arXiv 2411.10666). Looks in the text
// so far, and in finished answers to requests of the same salt.
DrafterKind lookup_kind();
std::vector<StartSource> lookup_sources();

// What the model held likely after a token is likely after it again (token recycling, Luo et al.
// 2025, arXiv 2408.08696).
DrafterKind recycle_kind();

// What the request says its answer will resemble.
DrafterKind prediction_kind();
std::vector<StartSource> prediction_sources();

// What a constraint leaves no choice about.
DrafterKind forced_kind();
std::vector<StartSource> forced_sources();

// Guesses that the model corrects step by step: alone, and as a source of n-grams.
DrafterKind jacobi_kind();
DrafterKind lookahead_kind();

// What a smaller model says comes next.
DrafterKind draft_kind();

// What Medusa heads say comes next.
DrafterKind medusa_kind();

// What the model's own layer for further tokens says comes next.
DrafterKind mtp_kind();

// All of them together but recycling, as many nodes as pay off; where none does, plain decoding.
DrafterKind auto_kind();

}  // namespace tessera
