#include "decode/suffix_automaton.h"

#include <algorithm>

namespace tessera {
namespace {

// A token is one more occurrence of every end of the text, as many as the text is long where it
// repeats itself. Of these, the longest matter to those who look for long matches.
constexpr int kMostCounted = 32;

}  // namespace

void SuffixAutomaton::append(Token token) {
  const int32_t added = add_state(states_[last_].length + 1, 0, 0);
  int32_t state = last_;
  while (state >= 0 && find(state, token) == nullptr) {
    connect(state, token, added);
    state = states_[state].link;
  }
  if (state < 0) {
    states_[added].link = 0;
  } else {
    const int32_t target = find(state, token)->target;
    const bool is_longest = states_[target].length == states_[state].length + 1;
    const int32_t link = is_longest ? target : split(state, token, target);
    states_[added].link = link;
  }
  last_ = added;
  ++size_;
  int32_t counted = added;
  for (int i = 0; i < kMostCounted && counted > 0; ++i) {
    ++states_[counted].count;
    states_[counted].latest = static_cast<int32_t>(size_);
    counted = states_[counted].link;
  }
}

// Parts of `target` no longer than `state`'s longest and the token end in more places than the
// others from now on: they get a state of their own.
int32_t SuffixAutomaton::split(int32_t state, Token token, int32_t target) {
  const int32_t shorter =
      add_state(states_[state].length + 1, states_[target].count, states_[target].latest);
  for (int32_t e = states_[target].edge; e >= 0; e = edges_[e].next)
    connect(shorter, edges_[e].token, edges_[e].target);
  states_[shorter].link = states_[target].link;
  states_[target].link = shorter;
  for (; state >= 0; state = states_[state].link) {
    Edge* edge = find(state, token);
    if (edge == nullptr || edge->target != target) break;
    edge->target = shorter;
  }
  return shorter;
}

SuffixAutomaton::Match SuffixAutomaton::read(Match match, Token token) const {
  match.state = state_of(match);
  for (;;) {
    if (const Edge* edge = find(match.state, token)) return {edge->target, match.length + 1};
    if (match.state == 0) return {};
    match.state = states_[match.state].link;
    match.length = states_[match.state].length;
  }
}

void SuffixAutomaton::successors(Match match, std::vector<Successor>& to) const {
  to.clear();
  if (match.length == 0) return;
  for (int32_t e = states_[state_of(match)].edge; e >= 0; e = edges_[e].next) {
    const Edge& edge = edges_[e];
    const State& next = states_[edge.target];
    to.push_back(
        {edge.token, std::max(1, next.count), next.latest, {edge.target, match.length + 1}});
  }
}

int32_t SuffixAutomaton::state_of(Match match) const {
  int32_t state = match.state;
  while (state > 0 && states_[states_[state].link].length >= match.length)
    state = states_[state].link;
  return state;
}

SuffixAutomaton::Edge* SuffixAutomaton::find(int32_t state, Token token) {
  const auto found = edge_of_.find(key(state, token));
  return found == edge_of_.end() ? nullptr : &edges_[found->second];
}

const SuffixAutomaton::Edge* SuffixAutomaton::find(int32_t state, Token token) const {
  const auto found = edge_of_.find(key(state, token));
  return found == edge_of_.end() ? nullptr : &edges_[found->second];
}

void SuffixAutomaton::connect(int32_t state, Token token, int32_t target) {
  edge_of_.emplace(key(state, token), static_cast<int32_t>(edges_.size()));
  edges_.push_back({token, target, states_[state].edge});
  states_[state].edge = static_cast<int32_t>(edges_.size()) - 1;
}

int32_t SuffixAutomaton::add_state(int32_t length, int32_t count, int32_t latest) {
  states_.push_back({.length = length, .count = count, .latest = latest});
  return static_cast<int32_t>(states_.size()) - 1;
}

}  // namespace tessera
