#include "decode/prompt_lookup.h"

#include <algorithm>

namespace tessera {

TokenTree PromptLookup::propose(std::span<const Token> tokens, int budget) {
  const auto size = static_cast<ptrdiff_t>(tokens.size());
  const ptrdiff_t wanted = std::min(draft_tokens_, budget);
  for (ptrdiff_t n = std::min<ptrdiff_t>(max_ngram_, size - 1); n >= 1; --n) {
    const auto suffix = tokens.last(n);
    for (ptrdiff_t start = size - n - 1; start >= 0; --start) {
      if (!std::ranges::equal(tokens.subspan(start, n), suffix)) continue;
      const auto match = tokens.subspan(start + n, std::min(wanted, size - start - n));
      TokenTree tree;
      for (const Token token : match) {
        tree.parents.push_back(tree.size() - 1);
        tree.tokens.push_back(token);
      }
      return tree;
    }
  }
  return {};
}

}  // namespace tessera
