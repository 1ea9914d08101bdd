// Decoders that commit several tokens a step: each proposes a tree, one verifier accepts.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "backend/backend.h"
#include "base/token.h"
#include "decode/sampler.h"

namespace tessera {

// Candidate continuations. Node i's token follows node parents[i] < i, or the sequence if that is
// -1.
struct TokenTree {
  std::vector<Token> tokens;
  std::vector<int32_t> parents;
  int size() const { return static_cast<int>(tokens.size()); }
};

class Drafter {
 public:
  virtual ~Drafter() = default;
  // Proposes what may follow `tokens` (the sequence so far), in at most `budget` nodes; may be
  // empty.
  virtual TokenTree propose(std::span<const Token> tokens, int budget) = 0;
};

// nullptr for "plain", one token a step. Throws Error listing the known names.
std::unique_ptr<Drafter> make_drafter(std::string_view name);
std::vector<std::string_view> drafter_names();

// What a step of one sequence committed.
struct Verified {
  std::vector<Token> tokens;  // at least one
  std::vector<int32_t> path;  // the nodes of the verified tree whose tokens were accepted
};

// `tree` is what the model ran: node 0 is the sequence's last token, the drafted nodes hang below.
// logits has a row for each node. Walks down from node 0 as long as the sampler's token is a child.
Verified verify(const TokenTree& tree, Tensor logits, Sampler& sampler,
                std::span<const Token> tokens, size_t prompt_size);

}  // namespace tessera
