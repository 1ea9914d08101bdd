// All sources of guesses that are worth their rows, as far as they pay off. What recycled tokens
// gain did not make up for what they cost where it was measured (docs/decoding.md).
#include <algorithm>
#include <iterator>
#include <memory>

#include "decode/drafters/draft_foreteller.h"
#include "decode/drafters/drafters.h"
#include "decode/drafters/guessing_drafter.h"
#include "decode/drafters/medusa_drafts.h"
#include "decode/drafters/next_token_drafts.h"

namespace tessera {

DrafterKind auto_kind() {
  return {.name = "auto",
          .note =
              "lookup, prediction, forced, and a draft model, heads and the model's own layer for "
              "further tokens if there are any, as far as it pays off",
          .settings = {},
          .make =
              [](const DraftMeans& means) {
                std::vector<StartSource> all = prediction_sources();
                std::ranges::move(lookup_sources(), std::back_inserter(all));
                std::ranges::move(forced_sources(), std::back_inserter(all));
                auto drafter = std::make_unique<GuessingDrafter>(std::move(all), DraftBudget());
                if (means.heads != nullptr)
                  drafter->use(std::make_unique<MedusaDrafts>(*means.heads));
                if (means.next_tokens != nullptr)
                  drafter->use(std::make_unique<NextTokenDrafts>(means));
                if (means.draft != nullptr) drafter->use(std::make_unique<DraftForeteller>(means));
                return drafter;
              },
          .needs_draft_model = false};
}

}  // namespace tessera
