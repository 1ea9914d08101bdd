#include <algorithm>

#include "decode/drafters/drafters.h"

namespace tessera {
namespace {

class PromptLookup final : public Drafter {
 public:
  explicit PromptLookup(PromptLookupOptions options) : options_(options) {}

  void propose(std::span<DraftRequest> requests) override {
    for (DraftRequest& request : requests) look_up(request);
  }

 private:
  void look_up(DraftRequest& request) const {
    const std::span<const Token> tokens = request.tokens;
    const auto size = static_cast<ptrdiff_t>(tokens.size());
    const ptrdiff_t wanted = std::min(options_.draft_tokens, request.room);
    for (ptrdiff_t n = std::min<ptrdiff_t>(options_.max_ngram, size - 1); n >= 1; --n) {
      const auto suffix = tokens.last(n);
      for (ptrdiff_t start = size - n - 1; start >= 0; --start) {
        if (!std::ranges::equal(tokens.subspan(start, n), suffix)) continue;
        for (const Token token : tokens.subspan(start + n, std::min(wanted, size - start - n))) {
          request.tree.add(token, request.tree.size() - 1);
        }
        return;
      }
    }
  }

  PromptLookupOptions options_;
};

}  // namespace

std::unique_ptr<Drafter> make_prompt_lookup(PromptLookupOptions options) {
  return std::make_unique<PromptLookup>(options);
}

}  // namespace tessera
