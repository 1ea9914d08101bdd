// All sources of guesses that cost nothing to keep, as far as they pay off.
#include <algorithm>
#include <iterator>
#include <memory>

#include "decode/drafters/drafters.h"
#include "decode/drafters/guessing_drafter.h"

namespace tessera {

DrafterKind auto_kind() {
  return {.name = "auto",
          .note = "all of these, as far as it pays off",
          .settings = {},
          .make = [](Model&) {
            std::vector<StartSource> all = prediction_sources();
            for (auto* more : {lookup_sources, recycling_sources})
              std::ranges::move(more(), std::back_inserter(all));
            return std::make_unique<GuessingDrafter>(std::move(all), DraftBudget());
          }};
}

}  // namespace tessera
