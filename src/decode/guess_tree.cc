#include "decode/guess_tree.h"

#include <algorithm>
#include <memory>
#include <queue>
#include <span>
#include <utility>

namespace tessera {
namespace {

// No guess is surer.
constexpr double kMostChance = 0.99;
constexpr int kClaimSteps = 20;  // between 0 and 1

using Places = std::vector<GuessSource::Place>;  // one for each source

struct Candidate {
  double chance;
  int order;  // of discovery, so that equal chances have an order too
  int32_t parent;
  Token token;
  int claim;

  bool operator<(const Candidate& other) const {
    return chance != other.chance ? chance < other.chance : order > other.order;
  }
};

struct Child {
  Token token;
  double chance;
};

// What may come at one place, each token once. The surest source is believed; what others say
// beside is for the chance that it leaves.
class Children {
 public:
  std::span<const Child> find(std::span<const RatedSource> sources, const Places& places) {
    said_.resize(sources.size());
    for (size_t s = 0; s < sources.size(); ++s) listen(sources[s], places[s], said_[s]);
    std::ranges::sort(said_, std::greater(), &Said::surest);
    children_.clear();
    double left = 1;
    for (const Said& said : said_) {
      const double before = left;
      for (const Guess& guess : said.guesses) {
        if (std::ranges::find(children_, guess.token, &Child::token) != children_.end()) continue;
        children_.push_back({guess.token, before * chance(guess, *said.rates)});
        left -= children_.back().chance;
      }
      left = std::max(0.0, left);
    }
    return children_;
  }

 private:
  struct Said {
    const HitRates* rates;
    std::vector<Guess> guesses;
    double surest;
  };
  static double chance(const Guess& guess, const HitRates& rates) {
    return std::min(kMostChance, rates.rate(guess.bucket) * guess.share);
  }
  static void listen(const RatedSource& rated, GuessSource::Place place, Said& said) {
    said.rates = &rated.rates;
    said.guesses.clear();
    rated.source->guess(place, said.guesses);
    said.surest = 0;
    for (const Guess& guess : said.guesses)
      said.surest = std::max(said.surest, chance(guess, rated.rates));
  }

  // Reused between calls.
  std::vector<Said> said_;
  std::vector<Child> children_;
};

}  // namespace

int Claims::bucket(double claimed, bool is_first) {
  const int step = std::min(static_cast<int>(claimed * kClaimSteps), kClaimSteps - 1);
  return step + (is_first ? 0 : kClaimSteps);
}

Claims::Claims() {
  std::vector<float> as_claimed;
  for (int i = 0; i < 2 * kClaimSteps; ++i)
    as_claimed.push_back((static_cast<float>(i % kClaimSteps) + 0.5F) / kClaimSteps);
  rates_ = HitRates(as_claimed);
}

GuessTree grow_tree(std::span<const RatedSource> sources, const Claims& claims, int nodes,
                    double least) {
  GuessTree grown;
  std::vector<Places> places;  // of the nodes
  std::priority_queue<Candidate> candidates;
  Children children;
  int order = 0;
  const auto add_candidates = [&](const Places& at, int32_t parent, double chance) {
    for (const Child& child : children.find(sources, at)) {
      const int claim = Claims::bucket(child.chance, parent < 0);
      const double likely = chance * claims.chance(claim);
      if (likely >= least) candidates.push({likely, order++, parent, child.token, claim});
    }
  };
  Places here;
  for (const RatedSource& rated : sources) here.push_back(rated.source->here());
  add_candidates(here, -1, 1);
  while (!candidates.empty() && grown.tree.size() < nodes) {
    const Candidate best = candidates.top();
    candidates.pop();
    const Places& before = best.parent < 0 ? here : places[static_cast<size_t>(best.parent)];
    Places at;
    for (size_t s = 0; s < sources.size(); ++s)
      at.push_back(sources[s].source->after(before[s], best.token));
    grown.tree.add(best.token, best.parent);
    grown.chances.push_back(best.chance);
    grown.claims.push_back(best.claim);
    add_candidates(at, grown.tree.size() - 1, best.chance);
    places.push_back(std::move(at));
  }
  return grown;
}

void prune(GuessTree& grown, const Constraint& constraint, Deadline deadline) {
  const auto root = constraint.copy();
  if (root == nullptr) return;
  const TokenTree& tree = grown.tree;
  constexpr int32_t kDropped = -2;
  std::vector<int32_t> kept_as;  // of each node
  std::vector<std::unique_ptr<Constraint>> behind(
      static_cast<size_t>(tree.size()));  // if asked for
  const auto constraint_behind = [&](int32_t node, const auto& self) -> Constraint& {
    if (node < 0) return *root;
    auto& known = behind[static_cast<size_t>(node)];
    if (known == nullptr) {
      known = self(tree.parents[static_cast<size_t>(node)], self).copy();
      known->accept(tree.tokens[static_cast<size_t>(node)]);
    }
    return *known;
  };
  GuessTree pruned;
  for (size_t node = 0; node < grown.chances.size(); ++node) {
    const int32_t parent = tree.parents[node];
    const int32_t above = parent < 0 ? -1 : kept_as[static_cast<size_t>(parent)];
    const bool is_kept =
        above != kDropped &&
        (deadline.is_over() ||
         constraint_behind(parent, constraint_behind).may_allow(tree.tokens[node], deadline));
    kept_as.push_back(is_kept ? pruned.tree.size() : kDropped);
    if (!is_kept) continue;
    pruned.tree.add(tree.tokens[node], above);
    pruned.chances.push_back(grown.chances[node]);
    pruned.claims.push_back(grown.claims[node]);
  }
  grown = std::move(pruned);
}

}  // namespace tessera
