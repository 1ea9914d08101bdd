// Drafts what Medusa heads say. Pays off where heads were trained for the model.
#include <memory>
#include <vector>

#include "decode/drafters/drafters.h"
#include "decode/drafters/guessing_drafter.h"
#include "decode/drafters/medusa_drafts.h"

namespace tessera {

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
                auto drafter = std::make_unique<GuessingDrafter>(std::vector<StartSource>());
                drafter->use(std::make_unique<MedusaDrafts>(*means.heads));
                return drafter;
              },
          .needs_draft_model = false,
          .needs_heads = true};
}

}  // namespace tessera
