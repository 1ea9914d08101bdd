// The one rule by which drafted tokens become part of an answer: a node is accepted if it is the
// token that the sampler gives at its place anyway. (But for who asks for another one by name.)
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/deadline.h"
#include "base/host_tensor.h"
#include "base/token.h"
#include "decode/sampler.h"
#include "decode/token_tree.h"
#include "decode/typical.h"

namespace tessera {

// What a step of one sequence committed.
struct Verified {
  std::vector<Token> tokens;  // at least one, if the constraint was known by the deadline
  std::vector<int32_t> path;  // the nodes of the verified tree whose tokens were accepted
  bool next_is_known =
      true;  // by the deadline, if there is one: what the constraint allows behind them
};

// `tree` is what the model ran: node 0 is the sequence's last token, the drafted nodes hang below.
// logits has a row for each node. Walks down from node 0 as long as the sampler's token is a child,
// and no further than what the constraint allows is found out by the deadline: fewer tokens are
// committed then, but no others.
//
// `typical`: if that is on, and the temperature above 0, walks down the typical path instead.
Verified verify(const TokenTree& tree, HostRows logits, Sampler& sampler,
                std::span<const Token> tokens, size_t prompt_size, Deadline deadline = {},
                TypicalAcceptance typical = {});

}  // namespace tessera
