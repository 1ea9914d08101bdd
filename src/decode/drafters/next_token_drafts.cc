#include "decode/drafters/next_token_drafts.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/timer.h"

namespace tessera {
namespace {

// Hidden states that a text keeps until it is asked; more are read at once, so that a prompt's do
// not pile up.
constexpr int kMostPending = 64;
constexpr int kFewRows = 8;

}  // namespace

// --- one text

NextTokenText::NextTokenText(std::shared_ptr<Memory> memory)
    : memory_(std::move(memory)),
      place_(memory_->texts.insert(memory_->texts.end(), this)),
      blocks_(memory_->pool) {}

NextTokenText::~NextTokenText() {
  memory_->texts.erase(place_);
}

GuessSource::Place NextTokenText::after(Place place, Token token) const {
  const auto at = static_cast<size_t>(place.at);
  const bool follows = place.at >= 0 && at < levels_.size() && levels_[at].token == token;
  return {follows ? place.at + 1 : -1};
}

void NextTokenText::guess(Place place, std::vector<Guess>& to) const {
  const auto at = static_cast<size_t>(place.at);
  if (place.at < 0 || at >= levels_.size()) return;
  const DrawnGuess& level = levels_[at];
  to.push_back({level.token, level.bucket});
  if (level.second) to.push_back({*level.second, DrawnGuess::kMargins + level.bucket});
}

void NextTokenText::read(Token token, bool) {
  here_ = after(here(), token).at;
}

void NextTokenText::end(std::span<const Token>) {
  forget();
}

void NextTokenText::forget() {
  blocks_.clear();
  first_ += computed_ + pending_rows_;
  computed_ = pending_rows_ = 0;
  pending_.clear();
}

// The hidden state of the token at a position. One that was there already is computed again; what
// lies before a gap is of no use.
void NextTokenText::take(int position, std::span<const float> hidden) {
  const int next = first_ + computed_ + pending_rows_;
  if (position != next) {
    const int kept = position - first_;
    if (kept < 0 || position > next) {
      forget();
      first_ = position;
    } else if (kept <= computed_) {
      computed_ = kept;
      pending_rows_ = 0;
    } else {
      pending_rows_ = kept - computed_;
    }
    pending_.resize(static_cast<size_t>(pending_rows_) * hidden.size());
  }
  pending_.insert(pending_.end(), hidden.begin(), hidden.end());
  ++pending_rows_;
}

// --- the layer

NextTokenDrafts::NextTokenDrafts(const DraftMeans& means)
    : next_(*means.next_tokens),
      memory_(std::make_shared<NextTokenText::Memory>(means.kv_blocks)),
      kv_(next_.make_kv(means.kv_blocks)),
      drawer_(static_cast<size_t>(means.model.config().vocabulary)) {}

std::unique_ptr<GuessSource> NextTokenDrafts::start(const DraftStart&) {
  return std::unique_ptr<GuessSource>(new NextTokenText(memory_));
}

void NextTokenDrafts::observe(GuessSource& source, const Observation& seen, StepRows& rows) {
  auto& text = static_cast<NextTokenText&>(source);
  text.levels_.clear();
  text.here_ = -1;
  if (seen.finished) return text.forget();
  const auto add = [&](int first_row, int count, int position) {
    const HostRows hidden = rows.hidden_states(first_row, count);
    for (int r = 0; r < count; ++r) text.take(position + r, hidden.row(r));
  };
  if (seen.tree == nullptr) {
    for (int done = 0; done < seen.rows;) {
      const int count = std::min(seen.rows - done, kMostPending);
      add(seen.first_row + done, count, seen.first_position + done);
      done += count;
      if (text.pending_rows_ >= kMostPending && !catch_up(text, seen.tokens)) return text.forget();
    }
    return;
  }
  for (size_t depth = 0; depth < seen.path.size(); ++depth)
    add(seen.first_row + seen.path[depth], 1, seen.first_position + static_cast<int>(depth));
}

// Who is not asked for now gives way. False if the text does not fit.
bool NextTokenDrafts::reserve(NextTokenText& text, int tokens,
                              std::span<const ForetoldText> asked) {
  if (text.blocks_.reserve(tokens)) return true;
  for (NextTokenText* other : memory_->texts) {
    const auto is_other = [&](const ForetoldText& t) { return &t.source == other; };
    if (other != &text && std::ranges::none_of(asked, is_other)) other->forget();
  }
  return text.blocks_.reserve(tokens);
}

// Reads pending hidden states whose next tokens are known, but for the last of them, which is asked
// of later. False if there is no memory.
bool NextTokenDrafts::catch_up(NextTokenText& text, std::span<const Token> tokens) {
  const int behind = text.first_ + text.computed_ + 1;
  const int known = static_cast<int>(tokens.size()) - behind;
  const int rows = std::min({text.pending_rows_ - 1, known, next_.rows()});
  if (rows <= 0) return true;
  if (!reserve(text, text.computed_ + rows, {})) return false;
  Batch batch;
  batch.add_chain(tokens.subspan(static_cast<size_t>(behind), static_cast<size_t>(rows)),
                  text.computed_, text.blocks_.blocks());
  const size_t width = text.pending_.size() / static_cast<size_t>(text.pending_rows_);
  const size_t floats = static_cast<size_t>(rows) * width;
  next_.forward(batch, std::span(text.pending_).first(floats), *kv_);
  text.pending_.erase(text.pending_.begin(),
                      text.pending_.begin() + static_cast<ptrdiff_t>(floats));
  text.pending_rows_ -= rows;
  text.computed_ += rows;
  return true;
}

// A text that is being foretold: what it is asked next, and with what hidden states.
struct NextTokenDrafts::Active {
  size_t number;
  NextTokenText* text;
  std::vector<Token> tokens;  // with what was foretold
  std::vector<float> hidden;  // of the tokens before the last `rows` ones
  int done, rows;             // tokens with keys and values, and those to be computed
  double chance = 1;
  std::vector<float> logits = {};
};

void NextTokenDrafts::run(std::span<Active> active) {
  Batch batch;
  std::vector<float> hidden;
  for (const Active& a : active) {
    batch.add_chain(std::span(a.tokens).last(static_cast<size_t>(a.rows)), a.done,
                    a.text->blocks_.blocks());
    batch.wanted.push_back(batch.rows() - 1);
    hidden.insert(hidden.end(), a.hidden.begin(), a.hidden.end());
  }
  const Timer timer;
  const NextTokens::Output output = next_.forward(batch, hidden, *kv_);
  cost_.observe(batch.rows(), timer.seconds());
  const size_t logits = output.logits.size() / active.size();
  for (size_t i = 0; i < active.size(); ++i) {
    Active& a = active[i];
    const auto told = output.hidden.row(static_cast<int>(i));
    a.hidden.assign(told.begin(), told.end());
    const auto first = output.logits.begin() + static_cast<ptrdiff_t>(i * logits);
    a.logits.assign(first, first + static_cast<ptrdiff_t>(logits));
    a.done += a.rows;
    a.rows = 1;
  }
}

void NextTokenDrafts::foretell(std::span<const ForetoldText> texts, GoesOn goes_on) {
  std::vector<Active> active;
  int rows = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    auto& text = static_cast<NextTokenText&>(texts[i].source);
    text.levels_.clear();
    text.here_ = 0;
    const int size = static_cast<int>(texts[i].tokens.size());
    // What it was told must reach the token before the last.
    if (text.pending_rows_ == 0 || text.first_ + text.computed_ + text.pending_rows_ != size - 1)
      continue;
    if (active.size() == NextTokens::kWanted || rows + text.pending_rows_ > next_.rows()) continue;
    if (!goes_on(i, 0, 1)) continue;
    if (!reserve(text, text.computed_ + text.pending_rows_ + texts[i].nodes, texts)) continue;
    rows += text.pending_rows_;
    active.push_back({.number = i,
                      .text = &text,
                      .tokens = {texts[i].tokens.begin(), texts[i].tokens.end()},
                      .hidden = std::exchange(text.pending_, {}),
                      .done = text.computed_,
                      .rows = text.pending_rows_});
    text.computed_ += std::exchange(text.pending_rows_, 0);
  }
  while (!active.empty()) {
    run(active);
    std::erase_if(active, [&](Active& a) {
      const ForetoldText& asked = texts[a.number];
      NextTokenText& text = *a.text;
      if (!text.sampler_) text.sampler_ = asked.sampler.twin();
      if (text.levels_.empty()) text.sampler_->follow(asked.sampler);
      const auto guess = drawer_.draw(*text.sampler_, a.logits, a.tokens, asked.prompt_size);
      if (!guess) return true;
      text.levels_.push_back(*guess);
      a.tokens.push_back(guess->token);
      a.chance *= asked.rates.rate(guess->bucket);
      const int depth = static_cast<int>(text.levels_.size());
      return depth >= asked.nodes || !goes_on(a.number, depth, a.chance);
    });
  }
}

void NextTokenDrafts::foretell(std::span<const ForetoldText> texts, std::span<const double> least) {
  foretell(texts, [&](size_t text, int, double chance) { return chance >= least[text]; });
}

Foreteller::Told NextTokenDrafts::foretell_what_pays(std::span<const ForetoldText> texts,
                                                     std::span<const GuessTree* const> trees,
                                                     const StepPlan& plan,
                                                     const DraftBudget& budget,
                                                     const Timer& spent) {
  const double a_row =
      (plan.cost.seconds(plan.rows + kFewRows) - plan.cost.seconds(plan.rows)) / kFewRows;
  foretell(texts, [&](size_t text, int depth, double chance) {
    const double right = texts[text].rates.rate(0, DrawnGuess::kMargins);
    // What is guessed for nothing is taken off at its likeliest node of all.
    const auto& free = trees[text]->chances;
    const double known = depth == 0 && !free.empty() ? *std::ranges::max_element(free) : 0;
    const double seconds =
        cost_.seconds(static_cast<int>(texts.size())) / static_cast<double>(texts.size()) + a_row;
    return budget.pays(plan, chance * right - known, seconds, spent.seconds());
  });
  return {.any = std::ranges::any_of(texts, [](const ForetoldText& text) {
            return !static_cast<NextTokenText&>(text.source).levels_.empty();
          })};
}

}  // namespace tessera
