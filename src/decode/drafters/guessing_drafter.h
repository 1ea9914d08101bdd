// Drafters that need no model: trees grown from sources of guesses (decode/guess_source.h).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/timer.h"
#include "decode/decoder.h"
#include "decode/draft_budget.h"
#include "decode/drafters/draft_model.h"
#include "decode/drafters/draft_policy.h"
#include "decode/drafters/medusa_drafts.h"
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
  // Has a draft model foretell, too: in `sources` are texts that it starts.
  void use(std::shared_ptr<DraftModel> draft) { draft_ = std::move(draft); }
  // Or heads.
  void use(std::shared_ptr<MedusaDrafts> heads) { heads_ = std::move(heads); }

  std::unique_ptr<DraftState> start(const DraftStart& sequence) override;
  void propose(std::span<DraftRequest> requests, const StepPlan& plan) override;
  void observe(std::span<const Observation> observations, StepRows& rows) override;

 private:
  static void learn(const Observation& seen, HostRows logits);
  void remember(const Observation& seen, StepRows& rows) const;
  void propose_what_pays(std::span<DraftRequest> requests, const StepPlan& plan);
  void ask_heads(std::span<const DraftRequest> requests);
  bool ask_heads_if_it_pays(std::span<const DraftRequest> requests, const StepPlan& plan,
                            std::span<const GuessTree> trees, const Timer& timer);
  void foretell(std::span<DraftRequest> requests);
  void foretell_what_pays(std::span<DraftRequest> requests, const StepPlan& plan,
                          std::span<GuessTree> trees);
  double read_what_pays(std::span<DraftRequest> requests, const StepPlan& plan);

  struct Kind {
    StartSource start;
    std::shared_ptr<HitRates> rates;  // of all sequences; none before the first
  };
  std::vector<Kind> kinds_;
  Claims claims_;
  std::optional<DraftBudget> budget_;
  std::shared_ptr<DraftModel> draft_;    // null: none
  std::shared_ptr<MedusaDrafts> heads_;  // null: none
  DraftPolicy policy_;
  bool foretold_ = false;  // in this step
  double overhead_ = 0;    // seconds that proposing took in this step
};

// A kind of such drafters that can be told "nodes" and "least"; these are their values where
// nothing is said.
DrafterKind guessing_kind(std::string name, std::string note, int nodes, double least,
                          std::vector<StartSource> (*sources)());

}  // namespace tessera
