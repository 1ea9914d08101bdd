// All sources of guesses that are worth their rows, as far as they pay off. What recycled tokens
// gain did not make up for what they cost where it was measured (docs/decoding.md).
#include <algorithm>
#include <iterator>
#include <memory>

#include "decode/drafters/drafters.h"
#include "decode/drafters/guessing_drafter.h"

namespace tessera {

DrafterKind auto_kind() {
  return {.name = "auto",
          .note = "lookup and prediction, as far as it pays off",
          .settings = {},
          .make = [](Model&) {
            std::vector<StartSource> all = prediction_sources();
            std::ranges::move(lookup_sources(), std::back_inserter(all));
            return std::make_unique<GuessingDrafter>(std::move(all), DraftBudget());
          }};
}

}  // namespace tessera
