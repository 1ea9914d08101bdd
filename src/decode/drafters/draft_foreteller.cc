#include "decode/drafters/draft_foreteller.h"

#include <algorithm>

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

// Texts as the draft model wants them, and which they are.
struct DraftedTexts {
  std::vector<DraftModel::Request> texts;
  std::vector<size_t> numbers;
};

template <typename Filter>
DraftedTexts drafted_texts(std::span<const ForetoldText> texts, Filter filter) {
  DraftedTexts drafted;
  for (size_t i = 0; i < texts.size(); ++i) {
    const DraftModel::Request text =
        DraftModel::own({.text = static_cast<DraftedText*>(&texts[i].source),
                         .tokens = texts[i].tokens,
                         .prompt_size = texts[i].prompt_size,
                         .sampler = &texts[i].sampler,
                         .rates = &texts[i].rates,
                         .most = texts[i].nodes});
    if (text.tokens.empty() || !filter(text)) continue;
    drafted.texts.push_back(text);
    drafted.numbers.push_back(i);
  }
  return drafted;
}

bool is_read(const DraftModel::Request& text) {
  return text.text->unread(text.tokens) <= DraftModel::kFewUnread;
}

}  // namespace

void DraftForeteller::foretell(std::span<const ForetoldText> texts, std::span<const double> least) {
  draft_.read(drafted_texts(texts, [](const auto& text) { return !is_read(text); }).texts);
  const auto [drafted, numbers] = drafted_texts(texts, is_read);
  draft_.foretell(drafted, [&, n = std::span(numbers)](size_t text, int, double chance, int) {
    return chance >= least[n[text]];
  });
}

Foreteller::Told DraftForeteller::foretell_what_pays(std::span<const ForetoldText> texts,
                                                     std::span<const GuessTree* const> trees,
                                                     const StepPlan& plan,
                                                     const DraftBudget& budget,
                                                     const Timer& spent) {
  constexpr int kFewRows = 8;
  Told told;
  // What reading takes would exceed the budget at once.
  const Timer reading;
  draft_.read(drafted_texts(texts, [&](const auto& text) {
                return !is_read(text) && is_worth_reading(text, plan);
              }).texts);
  told.apart = reading.seconds();

  const DraftedTexts drafted = drafted_texts(texts, is_read);
  const double a_row =
      (plan.cost.seconds(plan.rows + kFewRows) - plan.cost.seconds(plan.rows)) / kFewRows;
  std::vector<std::vector<double>> guessed;
  for (const size_t number : drafted.numbers) guessed.push_back(chances_by_depth(*trees[number]));
  draft_.foretell(drafted.texts, [&](size_t text, int depth, double chance, int together) {
    const double right = drafted.texts[text].rates->rate(0, DraftedText::kMargins);
    const auto& free = guessed[text];
    const auto at = static_cast<size_t>(depth);
    const double gained = chance * right - (at < free.size() ? free[at] : 0);
    const double seconds = draft_.seconds(together) / together + a_row;
    return budget.pays(plan, gained, seconds, spent.seconds() - told.apart);
  });
  told.any = std::ranges::any_of(
      drafted.texts, [](const DraftModel::Request& text) { return text.text->is_foretold(); });
  return told;
}

bool DraftForeteller::is_worth_reading(const DraftModel::Request& text,
                                       const StepPlan& plan) const {
  if (plan.answers == 0) return false;
  const double a_row = plan.cost.seconds(kPromptRows) / kPromptRows;
  const double reading = text.text->unread(text.tokens) * a_row * draft_.relative_cost();
  const double a_token = plan.cost.seconds(plan.answers) / plan.answers;
  const auto so_far = static_cast<double>(text.tokens.size() - text.prompt_size);
  const double generated = std::max(so_far, generated_ / 2);
  return generated * a_token * std::max(saved_, kLeastSaved) >= reading;
}

void DraftForeteller::observe(GuessSource&, const Observation& seen, StepRows&) {
  if (!seen.finished) return;
  const auto generated = static_cast<double>(seen.tokens.size() - seen.prompt_size);
  generated_ += kLearnedOfAnswer * (generated - generated_);
}

void DraftForeteller::learn(double saved) {
  saved_ += kLearned * (saved - saved_);
}

}  // namespace tessera
