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
// Below this, a gain is as likely an error of the estimates.
constexpr double kLeastGain = 1.01;

}  // namespace

double DraftBudget::saved(const StepPlan& plan, double tokens) {
  return plan.answers == 0 ? 0 : tokens / plan.answers * plan.cost.seconds(plan.answers);
}

bool DraftBudget::is_open(const StepPlan& plan) {
  const double one = plan.cost.seconds(plan.rows);
  if (one == 0) return false;
  if (!std::exchange(begun_, true)) credit_ += kFirstCredit * plan.cost.seconds(1);
  if (drafted_steps_ >= kMostDraftedSteps) return false;
  return credit() >= plan.cost.seconds(plan.rows + 1) - one;
}

int DraftBudget::worth(const StepPlan& plan, std::span<const double> chances) {
  const double plain = plan.cost.seconds(plan.rows);
  double expected = 0, best_gain = kLeastGain;
  int best = 0;
  for (size_t i = 0; i < chances.size(); ++i) {
    const int nodes = static_cast<int>(i) + 1;
    expected += chances[i];
    const double time = plan.cost.seconds(plan.rows + nodes);
    if (time - plain > credit()) break;
    const double gain = (plain + saved(plan, expected)) / time;
    if (gain > best_gain) best_gain = gain, best = nodes;
  }
  return best;
}

void DraftBudget::settle(const StepPlan& plan, int drafted, int accepted,
                         double seconds, double overhead) {
  const double step = plan.cost.seconds(plan.rows);
  const double plain = step + saved(plan, accepted);
  drafted_steps_ = drafted > 0 ? drafted_steps_ + 1 : 0;
  credit_ += overdraft_ * plain - overhead;
  // What a step took is a matter of drafts only if there were any; and of a disturbance, only what
  // the curve takes from it, too.
  if (drafted > 0)
    credit_ += plain - std::min(seconds, StepCost::kMostAway * plan.cost.seconds(plan.rows + drafted));
  credit_ = std::min(credit_, kMostCredit * step);
}

}  // namespace tessera
