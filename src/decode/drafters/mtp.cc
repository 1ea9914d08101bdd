// Drafts what the model's own layer for further tokens says. Pays off where the model was trained
// with it.
#include <memory>
#include <vector>

#include "decode/drafters/drafters.h"
#include "decode/drafters/guessing_drafter.h"
#include "decode/drafters/next_token_drafts.h"

namespace tessera {

DrafterKind mtp_kind() {
  return {
      .name = "mtp",
      .note =
          "what a layer for further tokens says: the model's own (--mtp), or one trained for "
          "it (--eagle)",
      .settings = {{"nodes", "most nodes of a tree", 4, 1, 64, true},
                   {"least", "least chance of being right that a node must have", 0.4, 0.01, 1}},
      .make =
          [](const DraftMeans& means) {
            auto drafter = std::make_unique<GuessingDrafter>(std::vector<StartSource>());
            drafter->use(std::make_unique<NextTokenDrafts>(means));
            return drafter;
          },
      .needs_draft_model = false,
      .needs_heads = false,
      .needs_next_tokens = true};
}

}  // namespace tessera
