
#include "decode/verify.h"

namespace tessera {

Verified verify(const TokenTree& tree, HostRows logits, Sampler& sampler,
                std::span<const Token> tokens, size_t prompt_size) {
  std::vector<Token> sequence(tokens.begin(), tokens.end());
  Verified result;
  int node = 0;
  for (;;) {
    const Token token = sampler.choose(logits.row(node), sequence, prompt_size);
    result.tokens.push_back(token);
    result.path.push_back(node);
    sequence.push_back(token);

    int child = node + 1;
    while (child < tree.size() && (tree.parents[child] != node || tree.tokens[child] != token))
      ++child;
    if (child >= tree.size()) return result;
    node = child;
  }
}

}  // namespace tessera
