// The drafters that Tessera comes with, a file each; registry.cc lists them.
#pragma once

#include "decode/decoder.h"

namespace tessera {

// What followed the last tokens when they last occurred is likely to follow again (prompt lookup
// decoding, Saxena 2023; with suffix automata, Hu et al. 2024, arXiv 2411.10666). Looks in the text
// so far, in the prediction, and in finished answers to requests of the same salt; drafts trees.
DrafterKind lookup_kind();
std::unique_ptr<Drafter> make_lookup();

}  // namespace tessera
