
#include "decode/verify.h"

namespace tessera {

Verified verify(const TokenTree& tree, HostRows logits, Sampler& sampler,
                std::span<const Token> tokens, size_t prompt_size, Deadline deadline,
                TypicalAcceptance typical) {
  std::vector<Token> sequence(tokens.begin(), tokens.end());
  Verified result;
  const auto is_known = [&] {
    return sampler.prepare(std::span(sequence).subspan(prompt_size), deadline);
  };
  int node = 0;
  const auto commit = [&](Token token) {
    result.tokens.push_back(token);
    result.path.push_back(node);
    sequence.push_back(token);
  };
  if (typical.epsilon > 0 && sampler.options().temperature > 0) {
    for (const int32_t next :
         typical_path(tree, logits, sampler, tokens, prompt_size, typical, deadline)) {
      if (next > 0) commit(tree.tokens[next]);
      node = next;
    }
  }
  for (;;) {
    result.next_is_known = is_known();
    if (!result.next_is_known) return result;
    const Token token = sampler.choose(logits.row(node), sequence, prompt_size);
    commit(token);

    int child = node + 1;
    while (child < tree.size() && (tree.parents[child] != node || tree.tokens[child] != token))
      ++child;
    if (child >= tree.size()) {
      if (deadline.exists()) result.next_is_known = is_known();
      return result;
    }
    node = child;
  }
}

}  // namespace tessera
