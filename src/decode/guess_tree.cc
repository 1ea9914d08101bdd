#include "decode/guess_tree.h"

#include <algorithm>
#include <queue>
#include <span>

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

}  // namespace tessera
