// Drafters that need no model: trees grown from sources of guesses (decode/guess_source.h).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "decode/decoder.h"
#include "decode/draft_budget.h"
#include "decode/drafters/foreteller.h"
#include "decode/guess_source.h"
#include "decode/guess_tree.h"

namespace tessera {

// Starts a source for a sequence; nullptr if it has nothing to tell of this one. What its sequences
// share is its own.
using StartSource = std::function<std::unique_ptr<GuessSource>(const DraftStart&)>;

// Each source is scored in the shadow, on every token of every answer, whoever drafted it. Rates
// are those of all salts: they tell how often guesses are right, not which.
class GuessingDrafter final : public Drafter {
 public:
  // Trees are as large as the sequence's settings say: "nodes" at most, none whose chance is
  // below "least".
  explicit GuessingDrafter(std::vector<StartSource> sources);
  // Trees are as large as it pays, for all sequences of a step together.
  GuessingDrafter(std::vector<StartSource> sources, DraftBudget budget);
  // One source more for each sequence, of which `foreteller` tells; the cheapest first.
  void use(std::unique_ptr<Foreteller> foreteller);

  std::unique_ptr<DraftState> start(const DraftStart& sequence) override;
  void propose(std::span<DraftRequest> requests, const StepPlan& plan) override;
  void observe(std::span<const Observation> observations, StepRows& rows) override;

 private:
  static void learn(const Observation& seen, HostRows logits);
  void propose_what_pays(std::span<DraftRequest> requests, const StepPlan& plan);
  double foretell_what_pays(std::span<const DraftRequest> requests, const StepPlan& plan,
                            const Timer& timer, std::span<GuessTree> trees);

  struct Kind {
    StartSource start;
    std::shared_ptr<HitRates> rates;  // of all sequences; none before the first
  };
  std::vector<Kind> kinds_;
  Claims claims_;
  std::optional<DraftBudget> budget_;
  struct Used {
    std::unique_ptr<Foreteller> foreteller;
    bool told = false;  // in this step
  };
  std::vector<Used> used_;
  double overhead_ = 0;  // seconds that proposing took in this step
};

// A kind of such drafters that can be told "nodes" and "least"; these are their values where
// nothing is said.
DrafterKind guessing_kind(std::string name, std::string note, int nodes, double least,
                          std::vector<StartSource> (*sources)());

}  // namespace tessera
