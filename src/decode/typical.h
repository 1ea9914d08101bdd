// Typical acceptance (Cai et al. 2024, arXiv 2401.10774, section 2.3.1, after Hewitt et al. 2022):
// drafted tokens are taken if they are likely enough, whatever the sampler would have drawn. NOT
// lossless: answers differ from plain decoding's, and by what was drafted. Only where a request
// asks for it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/deadline.h"
#include "base/host_tensor.h"
#include "base/token.h"
#include "decode/sampler.h"
#include "decode/token_tree.h"

namespace tessera {

// A token is typical if its probability is above min(epsilon, delta * exp(-entropy)).
struct TypicalAcceptance {
  double epsilon = 0;  // 0: off
  double delta = 0;
};

// The longest path of nodes that are typical, the likeliest of equals; it begins with node 0. As
// verify() has it; what a constraint allows behind a node is not waited for beyond the deadline.
std::vector<int32_t> typical_path(const TokenTree& tree, HostRows logits, Sampler& sampler,
                                  std::span<const Token> tokens, size_t prompt_size,
                                  TypicalAcceptance rule, Deadline deadline);

}  // namespace tessera
