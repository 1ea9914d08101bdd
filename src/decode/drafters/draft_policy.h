// When a draft model is worth its time.
#pragma once

#include <span>
#include <vector>

#include "decode/draft_budget.h"
#include "decode/drafters/draft_model.h"
#include "decode/guess_tree.h"

namespace tessera {

class DraftPolicy {
 public:
  // To read a text takes time before anything comes of it. So a text is read once its answer is so
  // long that, had it been read before, that would have paid by now: at worst, twice is spent what
  // was needed (ski rental, Karlin et al. 1988). What drafting has saved of late tells how soon;
  // and where half of an answer as long as they were of late would do, it is read at once.
  bool is_worth_reading(const DraftModel::Request& text, const DraftModel& draft,
                        const StepPlan& plan) const;
  // Has the model foretell texts as far as a token more is worth its time, given `trees` of what is
  // guessed already.
  static void foretell(DraftModel& draft, std::span<const DraftModel::Request> texts,
                       std::span<const GuessTree* const> trees, const StepPlan& plan,
                       const DraftBudget& budget);
  // A step that the model drafted for saved such a part of plain decoding's time; negative: it took
  // more.
  void learn(double saved);
  // An answer has ended, so many tokens long.
  void end(size_t generated);

 private:
  static constexpr double kFirstSaved = 1.0 / 3;
  // Of late.
  double saved_ = kFirstSaved;
  double generated_ = 0;  // by an answer
};

}  // namespace tessera
