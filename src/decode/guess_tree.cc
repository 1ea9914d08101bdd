#include "decode/guess_tree.h"

#include <algorithm>
#include <queue>
#include <span>

namespace tessera {
namespace {

// No guess is surer, and no place leaves less to what nobody guesses.
constexpr double kMostChance = 0.98;

using Places = std::vector<GuessSource::Place>;  // one for each source

struct Candidate {
  double chance;
  int order;  // of discovery, so that equal chances have an order too
  int32_t parent;
  Token token;

  bool operator<(const Candidate& other) const {
    return chance != other.chance ? chance < other.chance : order > other.order;
  }
};

struct Child {
  Token token;
  double chance;
};

// What may come at one place, each token once.
void find_children(std::span<const RatedSource> sources, const Places& places,
                   std::vector<Guess>& guesses, std::vector<Child>& children) {
  children.clear();
  for (size_t s = 0; s < sources.size(); ++s) {
    guesses.clear();
    sources[s].source->guess(places[s], guesses);
    for (const Guess& guess : guesses) {
      const double chance = sources[s].rates.rate(guess.bucket) * guess.share;
      const auto known = std::ranges::find(children, guess.token, &Child::token);
      if (known == children.end()) {
        children.push_back({guess.token, chance});
      } else {
        known->chance = std::max(known->chance, chance);
      }
    }
  }
  double sum = 0;
  for (const Child& child : children) sum += child.chance;
  if (sum <= kMostChance) return;
  for (Child& child : children) child.chance *= kMostChance / sum;
}

}  // namespace

GuessTree grow_tree(std::span<const RatedSource> sources, int nodes, double least) {
  GuessTree grown;
  std::vector<Places> places;  // of the nodes
  std::priority_queue<Candidate> candidates;
  std::vector<Guess> guesses;
  std::vector<Child> children;
  int order = 0;
  const auto add_candidates = [&](const Places& at, int32_t parent, double chance) {
    find_children(sources, at, guesses, children);
    for (const Child& child : children) {
      if (chance * child.chance >= least)
        candidates.push({chance * child.chance, order++, parent, child.token});
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
    add_candidates(at, grown.tree.size() - 1, best.chance);
    places.push_back(std::move(at));
  }
  return grown;
}

}  // namespace tessera
