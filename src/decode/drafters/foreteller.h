// Who tells sources of guesses what comes next, for the time that it takes: a draft model, heads.
// Asked before trees are grown, of all texts of a step at once.
#pragma once

#include <memory>
#include <span>

#include "base/timer.h"
#include "decode/draft_budget.h"
#include "decode/drafter.h"
#include "decode/guess_source.h"
#include "decode/guess_tree.h"
#include "decode/hit_rates.h"

namespace tessera {

// A text that is to be foretold, as far as it is read.
struct ForetoldText {
  GuessSource& source;            // which the foreteller started
  std::span<const Token> tokens;  // prompt and answer so far
  size_t prompt_size;
  const Sampler& sampler;  // which will choose
  const HitRates& rates;   // of the source's buckets
  int nodes;               // that its tree may have at most
};

class Foreteller {
 public:
  virtual ~Foreteller() = default;

  // The source of a new sequence. It may outlive the foreteller.
  virtual std::unique_ptr<GuessSource> start(const DraftStart& sequence) = 0;

  // Tells of texts what is right by a chance of `least`, one for each.
  virtual void foretell(std::span<const ForetoldText> texts, std::span<const double> least) = 0;

  // What it did of foretell_what_pays().
  struct Told {
    bool any = false;
    double apart = 0;  // seconds of its time that it has a bound of its own for
  };
  // Tells of texts what is worth its time, given `trees` of what is guessed for nothing. `spent`:
  // since drafting began in this step.
  virtual Told foretell_what_pays(std::span<const ForetoldText> texts,
                                  std::span<const GuessTree* const> trees, const StepPlan& plan,
                                  const DraftBudget& budget, const Timer& spent) = 0;

  // What a step made of a text that it started a source for.
  virtual void observe(GuessSource& /*source*/, const Observation& /*seen*/, StepRows& /*rows*/) {}
  // A step that it told of saved such a part of plain decoding's time; negative: it took more.
  virtual void learn(double /*saved*/) {}
};

}  // namespace tessera
