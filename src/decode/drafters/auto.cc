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
          "lookup, prediction, forced, and a draft model if there is one, as far as it pays off",
      .settings = {},
      .make =
          [](const DraftMeans& means) {
            std::vector<StartSource> all = prediction_sources();
            std::ranges::move(lookup_sources(), std::back_inserter(all));
            std::ranges::move(forced_sources(), std::back_inserter(all));
            if (means.draft == nullptr)
              return std::make_unique<GuessingDrafter>(std::move(all), DraftBudget());
            auto draft = std::make_shared<DraftModel>(means);
            all.push_back(drafted_source(draft));
            auto drafter = std::make_unique<GuessingDrafter>(std::move(all), DraftBudget());
            drafter->use(std::move(draft));
            return drafter;
          },
      .needs_draft_model = false};
}

}  // namespace tessera
