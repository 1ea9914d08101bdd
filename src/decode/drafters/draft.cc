// Drafts what a smaller model foretells. Pays off where that one is much smaller, and mostly right.
#include <memory>
#include <utility>
#include <vector>

#include "decode/drafters/drafters.h"
#include "decode/drafters/guessing_drafter.h"

namespace tessera {

StartSource drafted_source(std::shared_ptr<DraftModel> draft) {
  return [draft = std::move(draft)](const DraftStart& sequence) { return draft->start(sequence); };
}

DrafterKind draft_kind() {
  return {
      .name = "draft",
      .note = "what a smaller model says (--draft MODEL)",
      .settings = {{"nodes", "most nodes of a tree", 12, 1, 256, true},
                   {"least", "least chance of being right that a node must have", 0.4, 0.01, 1}},
      .make =
          [](const DraftMeans& means) {
            auto draft = std::make_shared<DraftModel>(means);
            std::vector<StartSource> sources = {drafted_source(draft)};
            auto drafter = std::make_unique<GuessingDrafter>(std::move(sources));
            drafter->use(std::move(draft));
            return drafter;
          },
      .needs_draft_model = true};
}

}  // namespace tessera
