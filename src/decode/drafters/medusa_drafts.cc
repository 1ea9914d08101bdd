#include "decode/drafters/medusa_drafts.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "base/timer.h"
#include "decode/random.h"

namespace tessera {
namespace {

// Guesses of one head at most: those of the first are worth more rows than those of the last.
constexpr int kMostGuesses = MedusaHeads::kRanks;
int guesses_of(int head) {
  return std::max(2, kMostGuesses - head);
}

// A guess is as good as its head and its rank, and as it was far from the first; the first, from
// the second. In logits, noise included, from each on.
constexpr std::array kMargins = {0.0F, 0.5F, 1.0F, 2.0F, 4.0F};

int bucket_of(int head, int rank, float margin) {
  const auto above = std::ranges::upper_bound(kMargins, margin);
  const auto step = std::max<std::ptrdiff_t>(0, above - kMargins.begin() - 1);
  return (head * kMostGuesses + rank) * static_cast<int>(kMargins.size()) + static_cast<int>(step);
}

// What their file says of them; else as published for heads of 7B models, roughly: the first guess
// is right in .58, .34, .21 of the cases.
std::vector<float> first_chances(std::span<const MedusaHeads::HitShares> measured) {
  constexpr std::array kOfFirst = {0.5F, 0.7F, 0.9F, 1.15F, 1.5F};
  constexpr std::array kOfOthers = {0.3F, 0.22F, 0.15F, 0.08F, 0.03F};
  constexpr float kUsual = kOfOthers[2], kSurest = 0.98F;
  constexpr float kLeast = 0.005F;  // what is never guessed is never seen to be right
  std::vector<float> chances;
  float published = 0.58F;
  for (size_t head = 0; head < MedusaHeads::kMost; ++head, published *= 0.6F) {
    const bool is_measured = head < measured.size();
    const float right = is_measured ? measured[head][0] : published;
    for (int rank = 0; rank < kMostGuesses; ++rank) {
      const float other = is_measured
                              ? measured[head][static_cast<size_t>(rank)]
                              : (1 - right) * kUsual / static_cast<float>(std::max(1, rank));
      for (size_t step = 0; step < kMargins.size(); ++step) {
        const float chance = rank == 0 ? right * kOfFirst[step] : other / kUsual * kOfOthers[step];
        chances.push_back(std::clamp(chance, kLeast, kSurest));
      }
    }
  }
  return chances;
}

constexpr float kNothing = -std::numeric_limits<float>::infinity();
constexpr double kLearned = 0.05;
constexpr double kStillBelieved = 0.995;

}  // namespace

MedusaDrafts::MedusaDrafts(MedusaHeads& heads)
    : heads_(heads),
      chances_(std::make_shared<const std::vector<float>>(first_chances(heads.hit_shares()))) {}

void MedusaText::guess(Place place, std::vector<Guess>& to) const {
  const auto at = static_cast<size_t>(place.at);
  if (at < levels_.size()) to.insert(to.end(), levels_[at].begin(), levels_[at].end());
}

// The hidden state that chose the last token.
void MedusaDrafts::observe(GuessSource& source, const Observation& seen, StepRows& rows) {
  if (seen.committed == 0) return;
  auto& text = static_cast<MedusaText&>(source);
  const int node = seen.tree != nullptr ? seen.path.back() : seen.rows - 1;
  const auto hidden = rows.hidden_states(seen.first_row + node, 1).row(0);
  text.hidden_.assign(hidden.begin(), hidden.end());
  text.hidden_size_ = seen.tokens.size();
}

// Those of which it is known what to tell the heads.
MedusaDrafts::Texts MedusaDrafts::ready(std::span<const ForetoldText> texts) {
  Texts ready;
  for (const ForetoldText& text : texts) {
    if (static_cast<MedusaText&>(text.source).hidden_size_ == text.tokens.size())
      ready.push_back(&text);
  }
  return ready;
}

void MedusaDrafts::foretell(std::span<const ForetoldText> texts, std::span<const double>) {
  ask(ready(texts));
}

// What the heads would add to what is guessed for nothing must be worth their time and a row each.
Foreteller::Told MedusaDrafts::foretell_what_pays(std::span<const ForetoldText> texts,
                                                  std::span<const GuessTree* const> trees,
                                                  const StepPlan& plan, const DraftBudget& budget,
                                                  const Timer& spent) {
  const Texts asked = ready(texts);
  if (asked.empty()) return {};
  double gained = 0;
  for (const ForetoldText* text : asked) {
    const GuessTree& guessed = *trees[static_cast<size_t>(text - texts.data())];
    gained +=
        expected(*text) - std::accumulate(guessed.chances.begin(), guessed.chances.end(), 0.0);
  }
  const int rows = static_cast<int>(asked.size());
  const double more = plan.cost.seconds(plan.rows + rows) - plan.cost.seconds(plan.rows);
  if (!budget.pays(plan, gained, seconds(asked.size()) + more, spent.seconds())) {
    seconds_of_pass_ *= kStillBelieved;  // or what was slow once would never be asked again
    return {};
  }
  ask(asked);
  return {.any = true};
}

// Tokens that the heads are expected to add to the text, each head right only if those before are.
double MedusaDrafts::expected(const ForetoldText& text) const {
  double sum = 0, chance = 1;
  for (int head = 0; head < heads_.heads(); ++head) {
    chance *= text.rates.rate(bucket_of(head, 0, 0), static_cast<int>(kMargins.size()));
    sum += chance;
  }
  return sum;
}

void MedusaDrafts::ask(std::span<const ForetoldText* const> texts) {
  while (!texts.empty()) {
    const auto part = texts.first(std::min<size_t>(texts.size(), MedusaHeads::kRows));
    texts = texts.subspan(part.size());
    const Timer timer;
    hidden_.clear();
    for (const ForetoldText* asked : part) {
      const auto& hidden = static_cast<MedusaText&>(asked->source).hidden_;
      hidden_.insert(hidden_.end(), hidden.begin(), hidden.end());
    }
    const HostRows logits = heads_.forward(hidden_);
    for (size_t i = 0; i < part.size(); ++i)
      draw(*part[i], logits, static_cast<int>(i), static_cast<int>(part.size()));
    const double seconds = timer.seconds();
    seconds_of_pass_ += (seconds_of_pass_ == 0 ? 1 : kLearned) * (seconds - seconds_of_pass_);
  }
}

// What the sampler would draw of each head's logits behind the first guesses of the heads before;
// then without that token, and so on. Its constraint is left out, as it may depend on those.
void MedusaDrafts::draw(const ForetoldText& asked, HostRows logits, int row, int stride) {
  auto& text = static_cast<MedusaText&>(asked.source);
  text.levels_.clear();
  text.here_ = 0;
  Sampler sampler(asked.sampler.options());
  const float temperature = sampler.options().temperature;
  std::vector<Token> tokens(asked.tokens.begin(), asked.tokens.end());
  for (int head = 0; head < heads_.heads(); ++head) {
    const auto said = logits.row(head * stride + row);
    logits_.assign(said.begin(), said.end());
    std::vector<Guess>& guesses = text.levels_.emplace_back();
    const auto strength = [&](Token token) {
      const float noise = temperature > 0 ? temperature * gumbel(sampler.seed(), tokens.size(),
                                                                 static_cast<uint32_t>(token))
                                          : 0.0F;
      return said[static_cast<size_t>(token)] + noise;
    };
    float first = 0;
    for (int rank = 0; rank < guesses_of(head); ++rank) {
      const Token token = sampler.choose(logits_, tokens, asked.prompt_size);
      if (std::exchange(logits_[static_cast<size_t>(token)], kNothing) == kNothing) break;
      const float strong = strength(token);
      if (rank == 0) first = strong;
      if (rank == 1) guesses[0].bucket = bucket_of(head, 0, first - strong);
      guesses.push_back(
          {token, bucket_of(head, rank, rank == 0 ? kMargins.back() : first - strong)});
    }
    if (guesses.empty()) return;
    tokens.push_back(guesses[0].token);
  }
}

}  // namespace tessera
