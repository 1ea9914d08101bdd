// Drafts what a smaller model foretells. Pays off where that one is much smaller, and mostly right.
#include <memory>
#include <vector>

#include "decode/drafters/draft_foreteller.h"
#include "decode/drafters/drafters.h"
#include "decode/drafters/guessing_drafter.h"

namespace tessera {

DrafterKind draft_kind() {
  return {
      .name = "draft",
      .note = "what a smaller model says (--draft MODEL)",
      .settings = {{"nodes", "most nodes of a tree", 12, 1, 256, true},
                   {"least", "least chance of being right that a node must have", 0.4, 0.01, 1}},
      .make =
          [](const DraftMeans& means) {
            auto drafter = std::make_unique<GuessingDrafter>(std::vector<StartSource>());
            drafter->use(std::make_unique<DraftForeteller>(means));
            return drafter;
          },
      .needs_draft_model = true};
}

}  // namespace tessera
