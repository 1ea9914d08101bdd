// How many drafted tokens a step is worth, and a bound on what drafting may lose.
//
// A row more makes a step longer (StepCost) and gives a token more by chance. Of all nodes that
// were proposed, the likeliest are taken, as long as their chance is worth their time.
//
// Chances and times are estimates. What holds whatever they are is an account (a bank of credit, as
// of conservative bandits, Wu et al. 2016, arXiv 1602.04282): steps that gave more tokens than
// plain decoding would have given in their time pay in, the others take out, and a step drafts only
// if the account can bear the worst, that nothing is accepted. It begins with two plain steps, and
// each token gives `overdraft` of its plain time on top. So everything takes at most (1 +
// overdraft) times as long as plain decoding, and those two steps, as far as the times are right.
#pragma once

#include <span>

#include "decode/step_cost.h"

namespace tessera {

class DraftBudget {
 public:
  explicit DraftBudget(double overdraft = 0.01) : overdraft_(overdraft) {}

  // Whether it is worth to ask for drafts at all.
  bool is_open(const StepPlan& plan);
  // How many nodes to run, given the chances of those proposed in descending order.
  int worth(const StepPlan& plan, std::span<const double> chances);
  // Whether `seconds` more of drafting are worth it for `tokens` more by chance, after `spent`
  // were.
  bool pays(const StepPlan& plan, double tokens, double seconds, double spent) const;
  // The step of `plan` ran for `seconds` with `drafted` nodes, of which `accepted` were right; to
  // draft and to learn from it took `overhead` seconds more. Returns the part of plain decoding's
  // time that this saved.
  double settle(const StepPlan& plan, int drafted, int accepted, double seconds, double overhead);

 private:
  double speed_up() const;  // over plain decoding, of late; at least 1
  // Seconds that so many tokens more than one for each answer save.
  static double saved(const StepPlan& plan, double tokens);

  double overdraft_;
  double credit_ = 0;  // seconds
  bool begun_ = false;
  double plain_of_late_ = 0, taken_of_late_ = 0;  // seconds: by plain decoding, and really
  int drafted_steps_ = 0;                         // since the last without
};

}  // namespace tessera
