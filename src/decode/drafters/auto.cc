// All sources of guesses that are worth their rows, as far as they pay off. What recycled tokens
// gain did not make up for what they cost where it was measured (docs/decoding.md).
#include <algorithm>
#include <iterator>
#include <memory>

#include "decode/drafters/drafters.h"
#include "decode/drafters/guessing_drafter.h"

namespace tessera {

DrafterKind auto_kind() {
  return {
      .name = "auto",
      .note =
          "lookup, prediction, forced, and a draft model and heads if there are any, as far as it "
          "pays off",
      .settings = {},
      .make =
          [](const DraftMeans& means) {
            std::vector<StartSource> all = prediction_sources();
            std::ranges::move(lookup_sources(), std::back_inserter(all));
            std::ranges::move(forced_sources(), std::back_inserter(all));
            const auto heads =
                means.heads == nullptr ? nullptr : std::make_shared<MedusaDrafts>(*means.heads);
            const auto draft =
                means.draft == nullptr ? nullptr : std::make_shared<DraftModel>(means);
            if (heads != nullptr) all.push_back(medusa_source(heads));
            if (draft != nullptr) all.push_back(drafted_source(draft));
            auto drafter = std::make_unique<GuessingDrafter>(std::move(all), DraftBudget());
            drafter->use(heads);
            drafter->use(draft);
            return drafter;
          },
      .needs_draft_model = false};
}

}  // namespace tessera
