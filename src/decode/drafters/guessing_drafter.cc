#include "decode/drafters/guessing_drafter.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <numeric>
#include <utility>

#include "base/timer.h"

namespace tessera {
namespace {

// Trees that are cut to what pays are grown to this first.
constexpr int kMostNodes = 64;
constexpr double kLeastChance = 0.15;
// Tokens that sequences have read in a step, all together: long prompts, or many copies of one, are
// read over several steps, so that nobody waits for that.
constexpr int kMostReadAtOnce = 4096;

class GuessingState final : public DraftState {
 public:
  explicit GuessingState(DrafterValues values) : values_(std::move(values)) {}

  void add(RatedSource source) {
    wants_logits_ |= source.source->wants_logits();
    if (source.source->drafted_text() != nullptr) drafted_ = sources_.size();
    if (source.source->medusa_text() != nullptr) medusa_ = sources_.size();
    sources_.push_back(std::move(source));
  }
  // Of which a draft model tells, and of which heads; null if there is none.
  const RatedSource* drafted() const { return source(drafted_); }
  const RatedSource* medusa() const { return source(medusa_); }
  bool is_caught_up(std::span<const Token> tokens) const { return read_ == tokens.size(); }
  bool wants_logits() const { return wants_logits_; }
  std::span<const RatedSource> sources() const { return sources_; }
  double value(std::string_view name) const { return values_.find(name)->second; }

  // Has the sources read what is new, and scores what they would have said: at most `most` tokens,
  // which become fewer by those. False if that was not all.
  bool catch_up(std::span<const Token> tokens, size_t prompt_size, int& most) {
    for (; read_ < tokens.size() && most > 0; ++read_, --most) {
      const bool of_answer = read_ >= prompt_size;
      for (RatedSource& rated : sources_) {
        if (of_answer) score(rated, tokens[read_]);
        rated.source->read(tokens[read_], of_answer);
      }
    }
    return read_ == tokens.size();
  }
  void look(FunctionRef<Constraint*()> ahead) {
    for (RatedSource& rated : sources_) rated.source->look(ahead);
  }
  // What the constraint of the request allows is asked of a copy, made once a step if anybody asks.
  Constraint* ahead(const DraftRequest& request) {
    if (std::exchange(ahead_of_, request.tokens.size()) != request.tokens.size()) {
      ahead_ = request.sampler == nullptr
                   ? nullptr
                   : request.sampler->ahead(request.tokens.subspan(request.prompt_size));
    }
    return ahead_.get();
  }
  // Of all logits of which the answer went on, the tokens before are `tokens`.
  void learn(std::span<const Token> tokens, std::span<const float> logits) {
    for (RatedSource& rated : sources_) {
      if (rated.source->wants_logits()) rated.source->learn(tokens, logits);
    }
  }
  // What is proposed now.
  TokenTree remember(GuessTree proposed) {
    claimed_ = std::move(proposed.claims);
    return std::move(proposed.tree);
  }
  // A node's claim is put to the test if its parent was accepted. `tree` begins with the last
  // token; some nodes at the end of what was proposed may not have been run.
  void test_claims(const TokenTree& tree, std::span<const int32_t> path, Claims& claims) const {
    const auto accepted = [&](int node) { return std::ranges::find(path, node) != path.end(); };
    for (int node = 1; node < tree.size(); ++node) {
      if (accepted(tree.parents[node])) claims.observe(claimed_[node - 1], accepted(node));
    }
  }
  void end(std::span<const Token> answer) {
    for (RatedSource& rated : sources_) rated.source->end(answer);
  }

 private:
  static constexpr size_t kNoSource = std::numeric_limits<size_t>::max();
  const RatedSource* source(size_t index) const {
    return index < sources_.size() ? &sources_[index] : nullptr;
  }
  // Each bucket that guesses here is right if one of its guesses is.
  void score(RatedSource& rated, Token token) {
    guesses_.clear();
    rated.source->guess(rated.source->here(), guesses_);
    std::ranges::sort(guesses_, {}, &Guess::bucket);
    for (auto first = guesses_.begin(); first != guesses_.end();) {
      const auto last = std::find_if(first, guesses_.end(),
                                     [&](const Guess& g) { return g.bucket != first->bucket; });
      const bool hit =
          std::find_if(first, last, [&](const Guess& g) { return g.token == token; }) != last;
      rated.rates.observe(first->bucket, hit);
      rated.common->observe(first->bucket, hit);
      first = last;
    }
  }

  DrafterValues values_;
  std::vector<RatedSource> sources_;
  bool wants_logits_ = false;
  size_t drafted_ = kNoSource, medusa_ = kNoSource;  // of the sources
  size_t read_ = 0;
  std::unique_ptr<Constraint> ahead_;  // null: there is none to ask
  size_t ahead_of_ = 0;                // tokens that ahead_ has read, the prompt's included
  std::vector<int> claimed_;           // of each node proposed last
  std::vector<Guess> guesses_;
};

// Of a DraftRequest, or of an Observation.
GuessingState& state_of(const auto& of) {
  return static_cast<GuessingState&>(*of.state);
}

// To find out what a constraint forbids of a tree: mostly a few steps of an automaton.
constexpr auto kPruningTime = std::chrono::microseconds(200);

// What the sources of a request guess, less what its constraint forbids.
GuessTree grow(const DraftRequest& request, const Claims& claims, int nodes, double least) {
  GuessTree grown = grow_tree(state_of(request).sources(), claims, nodes, least);
  if (grown.tree.size() == 0) return grown;
  if (const Constraint* ahead = state_of(request).ahead(request))
    prune(grown, *ahead, Deadline::in(kPruningTime));
  return grown;
}

bool catch_up(const DraftRequest& request, int& most) {
  GuessingState& state = state_of(request);
  if (!state.catch_up(request.tokens, request.prompt_size, most)) return false;
  state.look([&] { return state.ahead(request); });
  return true;
}

}  // namespace

DrafterKind guessing_kind(std::string name, std::string note, int nodes, double least,
                          std::vector<StartSource> (*sources)()) {
  return {
      .name = std::move(name),
      .note = std::move(note),
      .settings = {{"nodes", "most nodes of a tree", static_cast<double>(nodes), 1, 256, true},
                   {"least", "least chance of being right that a node must have", least, 0.01, 1}},
      .make = [sources](const DraftMeans&) { return std::make_unique<GuessingDrafter>(sources()); },
      .needs_draft_model = false};
}

GuessingDrafter::GuessingDrafter(std::vector<StartSource> sources) {
  for (StartSource& start : sources) kinds_.push_back({std::move(start), nullptr});
}

GuessingDrafter::GuessingDrafter(std::vector<StartSource> sources, DraftBudget budget)
    : GuessingDrafter(std::move(sources)) {
  budget_ = budget;
}

std::unique_ptr<DraftState> GuessingDrafter::start(const DraftStart& sequence) {
  auto state = std::make_unique<GuessingState>(sequence.values);
  for (Kind& kind : kinds_) {
    auto source = kind.start(sequence);
    if (source == nullptr) continue;
    if (kind.rates == nullptr) kind.rates = std::make_shared<HitRates>(source->chances());
    state->add({std::move(source), HitRates::like(*kind.rates), kind.rates});
  }
  return state;
}

void GuessingDrafter::propose(std::span<DraftRequest> requests, const StepPlan& plan) {
  if (budget_) return propose_what_pays(requests, plan);
  int left = kMostReadAtOnce;
  for (DraftRequest& request : requests) catch_up(request, left);
  if (heads_ != nullptr) ask_heads(requests);
  if (draft_ != nullptr) foretell(requests);
  for (DraftRequest& request : requests) {
    GuessingState& state = state_of(request);
    if (!state.is_caught_up(request.tokens)) continue;
    const int nodes = std::min(request.room, static_cast<int>(state.value("nodes")));
    request.tree = state.remember(grow(request, claims_, nodes, state.value("least")));
  }
}

void GuessingDrafter::propose_what_pays(std::span<DraftRequest> requests, const StepPlan& plan) {
  if (!budget_->is_open(plan)) return;
  const Timer timer;
  int left = kMostReadAtOnce;
  for (DraftRequest& request : requests) catch_up(request, left);
  std::vector<GuessTree> trees;
  const auto grow_all = [&] {
    trees.clear();
    for (const DraftRequest& request : requests) {
      const bool ready = state_of(request).is_caught_up(request.tokens);
      const int nodes = ready ? std::min(request.room, kMostNodes) : 0;
      trees.push_back(grow(request, claims_, nodes, kLeastChance));
    }
  };
  grow_all();
  if (heads_ != nullptr && ask_heads_if_it_pays(requests, plan, trees, timer)) grow_all();
  double reading = 0;
  if (draft_ != nullptr) {
    reading = read_what_pays(requests, plan);
    foretell_what_pays(requests, plan, trees);
  }
  std::vector<double> chances;
  for (const GuessTree& tree : trees)
    chances.insert(chances.end(), tree.chances.begin(), tree.chances.end());
  std::ranges::sort(chances, std::greater());
  size_t worth = static_cast<size_t>(budget_->worth(plan, chances));
  const double least = worth > 0 ? chances[worth - 1] : 1;
  for (size_t i = 0; i < requests.size(); ++i) {
    // A tree's chances descend, so what is kept of it is its beginning.
    const auto kept =
        std::ranges::count_if(trees[i].chances, [&](double chance) { return chance >= least; });
    const size_t nodes = std::min(worth, static_cast<size_t>(kept));
    worth -= nodes;
    trees[i].tree.truncate(static_cast<int>(nodes));
    requests[i].tree = state_of(requests[i]).remember(std::move(trees[i]));
  }
  overhead_ = timer.seconds() - reading;
}

namespace {

// The texts of those requests of which it is known what to ask heads.
std::vector<MedusaDrafts::Request> medusa_texts(std::span<const DraftRequest> requests) {
  std::vector<MedusaDrafts::Request> texts;
  for (const DraftRequest& request : requests) {
    const RatedSource* medusa = state_of(request).medusa();
    if (medusa == nullptr || request.sampler == nullptr) continue;
    if (!state_of(request).is_caught_up(request.tokens)) continue;
    const MedusaDrafts::Request text{.text = medusa->source->medusa_text(),
                                     .tokens = request.tokens,
                                     .prompt_size = request.prompt_size,
                                     .sampler = request.sampler,
                                     .rates = &medusa->rates};
    if (MedusaDrafts::is_ready(text)) texts.push_back(text);
  }
  return texts;
}

}  // namespace

void GuessingDrafter::ask_heads(std::span<const DraftRequest> requests) {
  heads_->foretell(medusa_texts(requests));
}

// What they would add to what is guessed for nothing must be worth their time and a row for each.
bool GuessingDrafter::ask_heads_if_it_pays(std::span<const DraftRequest> requests,
                                           const StepPlan& plan, std::span<const GuessTree> trees,
                                           const Timer& timer) {
  const auto texts = medusa_texts(requests);
  if (texts.empty()) return false;
  double gained = 0;
  for (const MedusaDrafts::Request& text : texts) gained += heads_->expected(text);
  for (const GuessTree& tree : trees)
    gained -= std::accumulate(tree.chances.begin(), tree.chances.end(), 0.0);
  const int rows = static_cast<int>(texts.size());
  const double seconds =
      heads_->seconds(rows) + plan.cost.seconds(plan.rows + rows) - plan.cost.seconds(plan.rows);
  if (!budget_->pays(plan, gained, seconds, timer.seconds())) return false;
  heads_->foretell(texts);
  return true;
}

namespace {

// The texts of those requests that a draft model may foretell, and which these are.
struct DraftedTexts {
  std::vector<DraftModel::Request> texts;
  std::vector<size_t> requests;
};

template <typename Filter>
DraftedTexts drafted_texts(std::span<const DraftRequest> requests, Filter filter) {
  DraftedTexts drafted;
  for (size_t i = 0; i < requests.size(); ++i) {
    const DraftRequest& request = requests[i];
    const GuessingState& state = state_of(request);
    if (state.drafted() == nullptr || request.sampler == nullptr) continue;
    if (!state.is_caught_up(request.tokens)) continue;
    const DraftModel::Request text =
        DraftModel::own({.text = state.drafted()->source->drafted_text(),
                         .tokens = request.tokens,
                         .prompt_size = request.prompt_size,
                         .sampler = request.sampler,
                         .rates = &state.drafted()->rates,
                         .most = request.room});
    if (text.tokens.empty() || !filter(text)) continue;
    drafted.texts.push_back(text);
    drafted.requests.push_back(i);
  }
  return drafted;
}

bool is_read(const DraftModel::Request& text) {
  return text.text->unread(text.tokens) <= DraftModel::kFewUnread;
}

}  // namespace

void GuessingDrafter::foretell(std::span<DraftRequest> requests) {
  draft_->read(drafted_texts(requests, [](const auto& text) { return !is_read(text); }).texts);
  DraftedTexts drafted = drafted_texts(requests, is_read);
  const auto state = [&](size_t text) -> const GuessingState& {
    return state_of(requests[drafted.requests[text]]);
  };
  for (size_t i = 0; i < drafted.texts.size(); ++i) {
    int& most = drafted.texts[i].most;
    most = std::min(most, static_cast<int>(state(i).value("nodes")));
  }
  draft_->foretell(drafted.texts, [&](size_t text, int, double chance, int) {
    return chance >= state(text).value("least");
  });
}

// Returns the seconds that it took. They are not the budget's, which they would exceed at once; the
// policy has a bound of its own.
double GuessingDrafter::read_what_pays(std::span<DraftRequest> requests, const StepPlan& plan) {
  const Timer timer;
  const auto pays = [&](const auto& text) {
    return !is_read(text) && policy_.is_worth_reading(text, *draft_, plan);
  };
  draft_->read(drafted_texts(requests, pays).texts);
  return timer.seconds();
}

void GuessingDrafter::foretell_what_pays(std::span<DraftRequest> requests, const StepPlan& plan,
                                         std::span<GuessTree> trees) {
  const auto [texts, indices] = drafted_texts(requests, is_read);
  if (texts.empty()) return;
  std::vector<const GuessTree*> guessed;
  for (const size_t i : indices) guessed.push_back(&trees[i]);
  DraftPolicy::foretell(*draft_, texts, guessed, plan, *budget_);
  for (size_t i = 0; i < texts.size(); ++i) {
    if (!texts[i].text->is_foretold()) continue;
    foretold_ = true;
    const int nodes = std::min(texts[i].most, kMostNodes);
    trees[indices[i]] = grow(requests[indices[i]], claims_, nodes, kLeastChance);
  }
}

void GuessingDrafter::observe(std::span<const Observation> observations, StepRows& rows) {
  const Timer timer;
  int drafted = 0, accepted = 0;
  for (const Observation& seen : observations) {
    if (seen.committed > 0) accepted += static_cast<int>(seen.committed) - 1;
    if (seen.tree == nullptr) continue;
    drafted += seen.tree->size() - 1;
    state_of(seen).test_claims(*seen.tree, seen.path, claims_);
  }
  for (const Observation& seen : observations) {
    if (state_of(seen).wants_logits()) learn(seen, rows.logits());
    if (heads_ != nullptr && seen.committed > 0) remember(seen, rows);
    if (!seen.finished) continue;
    state_of(seen).end(seen.tokens.subspan(seen.prompt_size));
    policy_.end(seen.tokens.size() - seen.prompt_size);
  }
  if (!budget_) return;
  const double saved = budget_->settle(rows.plan(), drafted, accepted, rows.seconds(),
                                       std::exchange(overhead_, 0) + timer.seconds());
  if (std::exchange(foretold_, false)) policy_.learn(saved);
}

// The hidden state that chose the last token.
void GuessingDrafter::remember(const Observation& seen, StepRows& rows) const {
  const RatedSource* medusa = state_of(seen).medusa();
  if (medusa == nullptr) return;
  const int node = seen.tree != nullptr ? seen.path.back() : seen.rows - 1;
  const HostRows hidden = rows.hidden_states(seen.first_row + node, 1);
  heads_->remember(*medusa->source->medusa_text(), hidden.row(0), seen.tokens.size());
}

void GuessingDrafter::learn(const Observation& seen, HostRows logits) {
  const size_t before = seen.tokens.size() - seen.committed;
  for (size_t i = 0; i < seen.committed; ++i) {
    const auto row = logits.row(seen.first_logits + seen.path[i]);
    state_of(seen).learn(seen.tokens.first(before + i), row);
  }
}

}  // namespace tessera
