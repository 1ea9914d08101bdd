
#include "decode/verify.h"

namespace tessera {

Verified verify(const TokenTree& tree, HostRows logits, Sampler& sampler,
                std::span<const Token> tokens, size_t prompt_size, Deadline deadline) {
  std::vector<Token> sequence(tokens.begin(), tokens.end());
  Verified result;
  const auto is_known = [&] {
    return sampler.prepare(std::span(sequence).subspan(prompt_size), deadline);
  };
  int node = 0;
  for (;;) {
    result.next_is_known = is_known();
    if (!result.next_is_known) return result;
    const Token token = sampler.choose(logits.row(node), sequence, prompt_size);
    result.tokens.push_back(token);
    result.path.push_back(node);
    sequence.push_back(token);

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
