// Lookahead decoding (Fu et al. 2024, arXiv 2402.02057). Beside the text runs a window: `window`
// places, and of each the last ngram - 1 guesses of what stands there, one from each step. Its
// newest guesses continue the older ones, so every step makes as many n-grams as there are places,
// which are kept by their first token. Those that begin with the text's last token are its drafts.
//
// The mask of the paper is a token tree: a guess of the oldest generation follows the one at the
// place before, any other the one of the generation before at the same place.
//
//   text ── a0 ── a1 ── a2        oldest generation, places 0, 1, 2
//            └─ b0 └─ b1 └─ b2    the next, each a position further
#include <algorithm>
#include <deque>
#include <memory>
#include <random>
#include <unordered_map>
#include <utility>
#include <vector>

#include "decode/drafters/drafters.h"

namespace tessera {
namespace {

using Tokens = std::vector<Token>;

// What followed a token of late, the latest first.
class NgramPool {
 public:
  explicit NgramPool(size_t most) : most_(most) {}

  void add(Token first, Tokens rest) {
    auto& known = rests_[first];
    std::erase(known, rest);
    known.push_front(std::move(rest));
    if (known.size() > most_) known.pop_back();
  }
  const std::deque<Tokens>& after(Token token) const {
    static const std::deque<Tokens> none;
    const auto found = rests_.find(token);
    return found == rests_.end() ? none : found->second;
  }

 private:
  size_t most_;
  std::unordered_map<Token, std::deque<Tokens>> rests_;
};

// Below the text's last token; what is there already is not added again.
void add_chain(const Tokens& chain, int room, TokenTree& tree) {
  int32_t parent = -1;
  for (const Token token : chain) {
    int32_t node = parent + 1;
    while (node < tree.size() && (tree.parents[node] != parent || tree.tokens[node] != token))
      ++node;
    if (node == tree.size()) {
      if (tree.size() == room) return;
      tree.add(token, parent);
    }
    parent = node;
  }
}

class Window final : public DraftState {
 public:
  explicit Window(const DrafterValues& values)
      : places_(setting(values, "window")),
        ngram_(setting(values, "ngram")),
        pool_(setting(values, "guesses")) {}

  void read(std::span<const Token> tokens) {
    for (; read_ + ngram_ <= tokens.size(); ++read_) {
      const auto rest = tokens.subspan(read_ + 1, ngram_ - 1);
      pool_.add(tokens[read_], {rest.begin(), rest.end()});
    }
  }

  TokenTree propose(std::span<const Token> tokens, int room) {
    if (generations_.empty()) {
      generations_.emplace_back();
      for (size_t i = 0; i < places_; ++i)
        generations_[0].push_back(tokens[random_() % tokens.size()]);
    }
    TokenTree tree;
    const auto places = static_cast<int32_t>(places_);
    for (size_t g = 0; g < generations_.size(); ++g) {
      for (int32_t place = 0; place < places; ++place) {
        const int32_t above = static_cast<int32_t>(g - 1) * places + place;
        tree.add(generations_[g][static_cast<size_t>(place)], g == 0 ? place - 1 : above);
      }
    }
    if (tree.size() > room) tree = {};  // a part of the window is of no use
    window_nodes_ = tree.size();
    for (const Tokens& rest : pool_.after(tokens.back())) add_chain(rest, room, tree);
    return tree;
  }

  // Of what propose() said, `tree` was run below its node 0. `next(node)`: what the model says
  // behind a node.
  template <typename Next>
  void learn(const TokenTree& tree, Next next) {
    if (window_nodes_ == 0 || tree.size() <= window_nodes_) return;
    Tokens newest;
    for (size_t place = 0; place < places_; ++place)
      newest.push_back(next(1 + window_nodes_ - static_cast<int>(places_ - place)));
    generations_.push_back(std::move(newest));
    if (generations_.size() < ngram_) return;
    for (size_t place = 0; place < places_; ++place) {
      Tokens rest;
      for (size_t g = 1; g < ngram_; ++g) rest.push_back(generations_[g][place]);
      pool_.add(generations_[0][place], std::move(rest));
    }
    generations_.pop_front();
  }

 private:
  static size_t setting(const DrafterValues& values, std::string_view name) {
    return static_cast<size_t>(values.find(name)->second);
  }

  size_t places_, ngram_;
  NgramPool pool_;
  size_t read_ = 0;
  std::deque<Tokens> generations_;  // the oldest first
  int window_nodes_ = 0;            // of the tree proposed last
  std::minstd_rand random_;         // the same for all
};

class Lookahead final : public Drafter {
 public:
  std::unique_ptr<DraftState> start(const DraftStart& sequence) override {
    return std::make_unique<Window>(sequence.values);
  }
  void propose(std::span<DraftRequest> requests, const StepPlan&) override {
    for (DraftRequest& request : requests) {
      auto& window = static_cast<Window&>(*request.state);
      window.read(request.tokens);
      request.tree = window.propose(request.tokens, request.room);
    }
  }
  // The likeliest tokens, not drawn ones: n-grams are for more than one place.
  void observe(std::span<const Observation> observations, StepRows& rows) override {
    for (const Observation& seen : observations) {
      if (seen.tree == nullptr) continue;
      static_cast<Window&>(*seen.state).learn(*seen.tree, [&](int node) {
        return rows.likeliest(seen.first_logits + node);
      });
    }
  }
};

}  // namespace

DrafterKind lookahead_kind() {
  return {.name = "lookahead",
          .note = "n-grams out of a window of guesses that runs beside the text",
          .settings = {{"window", "places of the window (W)", 5, 1, 32, true},
                       {"ngram", "tokens of an n-gram (N)", 3, 2, 8, true},
                       {"guesses", "n-grams that are tried at once (G)", 5, 1, 32, true}},
          .make = [](const DraftMeans&) { return std::make_unique<Lookahead>(); },
          .needs_draft_model = false};
}

}  // namespace tessera
