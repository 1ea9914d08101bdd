#include "decode/drafters/guessing_drafter.h"

#include <algorithm>
#include <chrono>
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
  // `foretellers`: how many of the sources, the last ones, are told what comes.
  GuessingState(DrafterValues values, size_t foretellers)
      : values_(std::move(values)), foretellers_(foretellers) {}

  void add(RatedSource source) {
    wants_logits_ |= source.source->wants_logits();
    sources_.push_back(std::move(source));
  }
  // The one that the foreteller of that number tells.
  const RatedSource& foretold(size_t foreteller) const {
    return sources_[sources_.size() - foretellers_ + foreteller];
  }
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
  size_t foretellers_;
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

GuessTree grow_what_may_pay(const DraftRequest& request, const Claims& claims) {
  const bool is_ready = state_of(request).is_caught_up(request.tokens);
  return grow(request, claims, is_ready ? std::min(request.room, kMostNodes) : 0, kLeastChance);
}

bool catch_up(const DraftRequest& request, int& most) {
  GuessingState& state = state_of(request);
  if (!state.catch_up(request.tokens, request.prompt_size, most)) return false;
  state.look([&] { return state.ahead(request); });
  return true;
}

// Of those requests that are caught up: what the foreteller of that number is to tell of, and which
// requests these are.
struct AskedTexts {
  std::vector<ForetoldText> texts;
  std::vector<size_t> requests;
};

AskedTexts texts_of(std::span<const DraftRequest> requests, size_t foreteller, auto nodes) {
  AskedTexts asked;
  for (size_t i = 0; i < requests.size(); ++i) {
    const DraftRequest& request = requests[i];
    if (request.sampler == nullptr || !state_of(request).is_caught_up(request.tokens)) continue;
    const RatedSource& rated = state_of(request).foretold(foreteller);
    asked.texts.push_back({.source = *rated.source,
                           .tokens = request.tokens,
                           .prompt_size = request.prompt_size,
                           .sampler = *request.sampler,
                           .rates = rated.rates,
                           .nodes = std::min(request.room, nodes(request))});
    asked.requests.push_back(i);
  }
  return asked;
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

void GuessingDrafter::use(std::unique_ptr<Foreteller> foreteller) {
  kinds_.push_back(
      {[teller = foreteller.get()](const DraftStart& sequence) { return teller->start(sequence); },
       nullptr});
  used_.push_back({std::move(foreteller)});
}

std::unique_ptr<DraftState> GuessingDrafter::start(const DraftStart& sequence) {
  auto state = std::make_unique<GuessingState>(sequence.values, used_.size());
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
  const auto nodes = [](const DraftRequest& request) {
    return std::min(request.room, static_cast<int>(state_of(request).value("nodes")));
  };
  for (size_t f = 0; f < used_.size(); ++f) {
    const AskedTexts asked = texts_of(requests, f, nodes);
    std::vector<double> least;
    for (const size_t i : asked.requests) least.push_back(state_of(requests[i]).value("least"));
    used_[f].foreteller->foretell(asked.texts, least);
  }
  for (DraftRequest& request : requests) {
    GuessingState& state = state_of(request);
    if (!state.is_caught_up(request.tokens)) continue;
    request.tree = state.remember(grow(request, claims_, nodes(request), state.value("least")));
  }
}

void GuessingDrafter::propose_what_pays(std::span<DraftRequest> requests, const StepPlan& plan) {
  if (!budget_->is_open(plan)) return;
  const Timer timer;
  int left = kMostReadAtOnce;
  for (DraftRequest& request : requests) catch_up(request, left);
  std::vector<GuessTree> trees;
  for (const DraftRequest& request : requests) trees.push_back(grow_what_may_pay(request, claims_));
  const double apart = foretell_what_pays(requests, plan, timer, trees);
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
  overhead_ = timer.seconds() - apart;
}

// Returns the seconds that are not to be the budget's.
double GuessingDrafter::foretell_what_pays(std::span<const DraftRequest> requests,
                                           const StepPlan& plan, const Timer& timer,
                                           std::span<GuessTree> trees) {
  double apart = 0;
  for (size_t f = 0; f < used_.size(); ++f) {
    const AskedTexts asked = texts_of(requests, f, [](const DraftRequest& r) { return r.room; });
    std::vector<const GuessTree*> guessed;
    for (const size_t i : asked.requests) guessed.push_back(&trees[i]);
    const auto told =
        used_[f].foreteller->foretell_what_pays(asked.texts, guessed, plan, *budget_, timer);
    apart += told.apart;
    used_[f].told = told.any;
    if (!told.any) continue;
    for (const size_t i : asked.requests) trees[i] = grow_what_may_pay(requests[i], claims_);
  }
  return apart;
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
    for (size_t f = 0; f < used_.size(); ++f)
      used_[f].foreteller->observe(*state_of(seen).foretold(f).source, seen, rows);
    if (seen.finished) state_of(seen).end(seen.tokens.subspan(seen.prompt_size));
  }
  if (!budget_) return;
  const double saved = budget_->settle(rows.plan(), drafted, accepted, rows.seconds(),
                                       std::exchange(overhead_, 0) + timer.seconds());
  for (Used& used : used_) {
    if (std::exchange(used.told, false)) used.foreteller->learn(saved);
  }
}

void GuessingDrafter::learn(const Observation& seen, HostRows logits) {
  const size_t before = seen.tokens.size() - seen.committed;
  for (size_t i = 0; i < seen.committed; ++i) {
    const auto row = logits.row(seen.first_logits + seen.path[i]);
    state_of(seen).learn(seen.tokens.first(before + i), row);
  }
}

}  // namespace tessera
