// Drafts what Medusa heads say. Pays off where heads were trained for the model.
#include <memory>
#include <utility>
#include <vector>

#include "decode/drafters/drafters.h"
#include "decode/drafters/guessing_drafter.h"

namespace tessera {

StartSource medusa_source(std::shared_ptr<MedusaDrafts> heads) {
  return [heads = std::move(heads)](const DraftStart&) { return heads->start(); };
}

DrafterKind medusa_kind() {
  return {.name = "medusa",
          .note = "what heads on the model's hidden states say (--medusa HEADS)",
          .settings = {{"nodes", "most nodes of a tree", 24, 1, 256, true},
                       {"least", "least chance of being right that a node must have", 0.1, 0.01, 1},
                       {"typical",
                        "above 0: NOT lossless, accepts what is at least so likely, or delta * "
                        "exp(-entropy) if that is less",
                        0, 0, 1},
                       {"delta", "of `typical`", 0.3, 0, 1}},
          .make =
              [](const DraftMeans& means) {
                auto heads = std::make_shared<MedusaDrafts>(*means.heads);
                std::vector<StartSource> sources = {medusa_source(heads)};
                auto drafter = std::make_unique<GuessingDrafter>(std::move(sources));
                drafter->use(std::move(heads));
                return drafter;
              },
          .needs_draft_model = false,
          .needs_heads = true};
}

}  // namespace tessera
