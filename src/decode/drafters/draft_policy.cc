#include "decode/drafters/draft_policy.h"

#include <algorithm>

#include "base/timer.h"

namespace tessera {
namespace {

// However little it saves, texts are read now and then, to find out whether that has changed.
constexpr double kLeastSaved = 0.02;
constexpr double kLearned = 0.02;  // of what a step saved
constexpr double kLearnedOfAnswer = 0.2;
// Rows of a prompt's step, of which the time of one row of a prompt is known.
constexpr int kPromptRows = 512;

// Chances of the nodes of each depth, together.
std::vector<double> chances_by_depth(const GuessTree& tree) {
  std::vector<double> chances;
  std::vector<size_t> depths;
  for (int node = 0; node < tree.tree.size(); ++node) {
    const int32_t parent = tree.tree.parents[static_cast<size_t>(node)];
    depths.push_back(parent < 0 ? 0 : depths[static_cast<size_t>(parent)] + 1);
    if (chances.size() <= depths.back()) chances.resize(depths.back() + 1);
    chances[depths.back()] += tree.chances[static_cast<size_t>(node)];
  }
  return chances;
}

}  // namespace

bool DraftPolicy::is_worth_reading(const DraftModel::Request& text, const DraftModel& draft,
                                   const StepPlan& plan) const {
  if (plan.answers == 0) return false;
  const double a_row = plan.cost.seconds(kPromptRows) / kPromptRows;
  const double reading = text.text->unread(text.tokens) * a_row * draft.relative_cost();
  const double a_token = plan.cost.seconds(plan.answers) / plan.answers;
  const auto so_far = static_cast<double>(text.tokens.size() - text.prompt_size);
  const double generated = std::max(so_far, generated_ / 2);
  return generated * a_token * std::max(saved_, kLeastSaved) >= reading;
}

void DraftPolicy::foretell(DraftModel& draft, std::span<const DraftModel::Request> texts,
                           std::span<const GuessTree* const> trees, const StepPlan& plan,
                           const DraftBudget& budget) {
  constexpr int kFewRows = 8;
  const double a_row =
      (plan.cost.seconds(plan.rows + kFewRows) - plan.cost.seconds(plan.rows)) / kFewRows;
  std::vector<std::vector<double>> guessed;
  for (const GuessTree* tree : trees) guessed.push_back(chances_by_depth(*tree));
  const Timer timer;
  draft.foretell(texts, [&](size_t text, int depth, double chance, int together) {
    const double right = texts[text].rates->rate(0, DraftedText::kMargins);
    const auto& free = guessed[text];
    const auto at = static_cast<size_t>(depth);
    const double gained = chance * right - (at < free.size() ? free[at] : 0);
    const double seconds = draft.seconds(together) / together + a_row;
    return budget.pays(plan, gained, seconds, timer.seconds());
  });
}

void DraftPolicy::end(size_t generated) {
  generated_ += kLearnedOfAnswer * (static_cast<double>(generated) - generated_);
}

void DraftPolicy::learn(double saved) {
  saved_ += kLearned * (saved - saved_);
}

}  // namespace tessera
