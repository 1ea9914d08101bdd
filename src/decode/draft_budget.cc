#include "decode/draft_budget.h"

#include <algorithm>
#include <utility>

namespace tessera {
namespace {

// After so many drafted steps one is plain, so that it stays known how long these take.
constexpr int kMostDraftedSteps = 64;
// The account holds no more than so many plain steps: what one text has won is not for the next one
// to lose.
constexpr double kMostCredit = 16;
// It begins with so many, or nothing could be tried for the first hundreds of tokens.
constexpr double kFirstCredit = 2;
// Of a plain step: less may as well be an error of the estimates.
constexpr double kLeastValue = 0.01;
constexpr double kKept = 0.97;  // of what was, with each step: how long "of late" is

}  // namespace

double DraftBudget::saved(const StepPlan& plan, double tokens) {
  return plan.answers == 0 ? 0 : tokens / plan.answers * plan.cost.seconds(plan.answers);
}

double DraftBudget::speed_up() const {
  return taken_of_late_ > 0 ? std::max(1.0, plain_of_late_ / taken_of_late_) : 1;
}

bool DraftBudget::is_open(const StepPlan& plan) {
  const double one = plan.cost.seconds(plan.rows);
  if (one == 0) return false;
  if (!std::exchange(begun_, true)) credit_ += kFirstCredit * plan.cost.seconds(1);
  if (drafted_steps_ >= kMostDraftedSteps) return false;
  return credit_ >= plan.cost.seconds(plan.rows + 1) - one;
}

// What a step may cost is time in which tokens come as fast as they did of late (Dinkelbach 1967:
// the largest ratio of two sums has the terms that are largest when the ratio itself is the price).
// A good step is the one to draft most in.
int DraftBudget::worth(const StepPlan& plan, std::span<const double> chances) {
  const double plain = plan.cost.seconds(plan.rows);
  double expected = 0, best_value = kLeastValue * plain;
  int best = 0;
  for (size_t i = 0; i < chances.size(); ++i) {
    const int nodes = static_cast<int>(i) + 1;
    expected += chances[i];
    const double more = plan.cost.seconds(plan.rows + nodes) - plain;
    if (more > credit_) break;
    const double value = saved(plan, expected) - speed_up() * more;
    if (value > best_value) best_value = value, best = nodes;
  }
  return best;
}

bool DraftBudget::pays(const StepPlan& plan, double tokens, double seconds, double spent) const {
  return saved(plan, tokens) > speed_up() * seconds && credit_ >= spent + seconds;
}

double DraftBudget::settle(const StepPlan& plan, int drafted, int accepted, double seconds,
                           double overhead) {
  const double step = plan.cost.seconds(plan.rows);
  const double plain = step + saved(plan, accepted);
  const double known = StepCost::kMostAway * plan.cost.seconds(plan.rows + drafted);
  const double taken = std::min(seconds, known);
  plain_of_late_ = kKept * plain_of_late_ + plain;
  taken_of_late_ = kKept * taken_of_late_ + taken + overhead;
  drafted_steps_ = drafted > 0 ? drafted_steps_ + 1 : 0;
  credit_ += overdraft_ * plain - overhead;
  // What a step took is a matter of drafts only if there were any; and of a disturbance, only what
  // the curve takes from it, too.
  if (drafted > 0) credit_ += plain - taken;
  credit_ = std::min(credit_, kMostCredit * step);
  return plain > 0 ? 1 - (taken + overhead) / plain : 0;
}

}  // namespace tessera
