#include "grammar/language.h"

#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "base/utf8.h"
#include "grammar/schema_budget.h"

namespace tessera::grammar {
namespace {

// States looked at while equal ones are searched for; past it a language stays larger than need be.
constexpr size_t kMaxMinimizing = 60'000;
// How much of what a state costs is a look at an edge of it.
constexpr size_t kEdgesOfAState = 16;
// Looks at a state while equal ones are searched for.
constexpr size_t kLooksOfAState = 64;

std::vector<uint32_t> characters_of(std::string_view utf8) {
  std::vector<uint32_t> characters;
  while (!utf8.empty()) {
    const size_t length = inspect_utf8(utf8).length;
    characters.push_back(decode_utf8(utf8.substr(0, length)));
    utf8.remove_prefix(length);
  }
  return characters;
}

// Walks both automata at once.
Language product(const Language& a, const Language& b, bool (*accepts)(bool, bool)) {
  std::map<std::pair<uint32_t, uint32_t>, uint32_t> numbers;
  std::vector<std::pair<uint32_t, uint32_t>> found;
  const auto number_of = [&](uint32_t left, uint32_t right) {
    const auto [at, is_new] =
        numbers.emplace(std::pair(left, right), static_cast<uint32_t>(found.size()));
    if (is_new) {
      found.emplace_back(left, right);
      charge_states(1, a.states()[left].edges.size() + b.states()[right].edges.size());
    }
    if (found.size() > Language::kMaxStates) refuse_large_language();
    return at->second;
  };
  number_of(0, 0);
  std::vector<Language::State> states;
  for (size_t i = 0; i < found.size(); ++i) {
    const Language::State& left = a.states()[found[i].first];
    const Language::State& right = b.states()[found[i].second];
    Language::State state{accepts(left.accepts, right.accepts)};
    for (size_t l = 0, r = 0;;) {
      const uint32_t target = number_of(left.edges[l].target, right.edges[r].target);
      const uint32_t first = std::max(left.edges[l].first, right.edges[r].first);
      if (state.edges.empty() || state.edges.back().target != target)
        state.edges.push_back({first, target});
      const bool left_ends = l + 1 == left.edges.size(), right_ends = r + 1 == right.edges.size();
      if (left_ends && right_ends) break;
      const uint32_t next_left = left_ends ? UINT32_MAX : left.edges[l + 1].first;
      const uint32_t next_right = right_ends ? UINT32_MAX : right.edges[r + 1].first;
      if (next_left <= next_right) ++l;
      if (next_right <= next_left) ++r;
    }
    states.push_back(std::move(state));
  }
  return Language(std::move(states));
}

}  // namespace

void charge_states(size_t states, size_t edges) {
  SchemaBudget::spend(Cost::kStates, states + edges / kEdgesOfAState);
}

void refuse_large_language() {
  fail("json_schema: too large, patterns, lengths and bounds together take more than {} states",
       Language::kMaxStates);
}

Language::Language(std::vector<State> states) : states_(std::move(states)) {
  minimize();
}

Language Language::minimal(std::vector<State> states) {
  Language language;
  language.states_ = std::move(states);
  return language;
}

// Moore's algorithm (1956): states are told apart by whether they accept, then by where they lead.
void Language::minimize() {
  std::vector<uint32_t> classes(states_.size());
  size_t count = 1;
  size_t edges = 0;
  for (const State& state : states_) edges += state.edges.size();
  for (size_t work = 0;;) {
    work += states_.size();
    charge_states(states_.size() / kLooksOfAState, edges / kLooksOfAState);
    if (work > kMaxMinimizing && work > 2 * states_.size()) return;
    std::unordered_map<std::u32string, uint32_t> numbers(states_.size());
    std::vector<uint32_t> next;
    std::u32string key;
    for (const State& state : states_) {
      key.assign(1, state.accepts ? 1 : 0);
      for (const Edge& edge : state.edges) {
        const uint32_t target = classes[edge.target];
        if (key.size() > 1 && key.back() == target) continue;
        key += static_cast<char32_t>(edge.first);
        key += static_cast<char32_t>(target);
      }
      next.push_back(numbers.emplace(key, static_cast<uint32_t>(numbers.size())).first->second);
    }
    const bool done = numbers.size() == count && work > states_.size();
    count = numbers.size();
    classes = std::move(next);
    if (done || count == states_.size()) break;
  }
  if (count == states_.size()) return;
  std::vector<State> merged(count);  // classes are numbered as their first states are met
  for (size_t i = states_.size(); i-- > 0;) {
    State& state = merged[classes[i]] = {states_[i].accepts};
    for (const Edge& edge : states_[i].edges) {
      const uint32_t target = classes[edge.target];
      if (state.edges.empty() || state.edges.back().target != target)
        state.edges.push_back({edge.first, target});
    }
  }
  states_ = std::move(merged);
}

// A trie, with a state for every other text. Of its nodes, equal ones become one state from the
// ends on (Revuz 1992): a node comes after those that lead to it.
Language Language::of(std::span<const std::string> texts) {
  struct Node {
    bool accepts = false;
    std::map<uint32_t, uint32_t> next = {};
  };
  std::vector<Node> nodes(2);
  constexpr uint32_t kOther = 1;
  for (const std::string& text : texts) {
    uint32_t at = 0;
    for (const uint32_t c : characters_of(text)) {
      const auto [found, is_new] = nodes[at].next.emplace(c, static_cast<uint32_t>(nodes.size()));
      at = found->second;
      if (!is_new) continue;
      nodes.emplace_back();
      charge_states(1, 0);
      if (nodes.size() > 4 * kMaxStates) refuse_large_language();
    }
    nodes[at].accepts = true;
  }
  std::map<std::pair<bool, std::map<uint32_t, uint32_t>>, uint32_t> known = {{{false, {}}, kOther}};
  std::vector<uint32_t> same(nodes.size(), kOther);  // the first found that is equal
  for (auto node = static_cast<uint32_t>(nodes.size()); node-- > 0;) {
    if (node == kOther) continue;
    for (auto& [c, target] : nodes[node].next) target = same[target];
    same[node] =
        known.emplace(std::pair(nodes[node].accepts, nodes[node].next), node).first->second;
  }
  std::vector<uint32_t> numbers(nodes.size());
  uint32_t count = 0;
  for (uint32_t node = 0; node < nodes.size(); ++node)
    if (same[node] == node) numbers[node] = count++;
  std::vector<State> states;
  for (uint32_t node = 0; node < nodes.size(); ++node) {
    if (same[node] != node) continue;
    State state{nodes[node].accepts, {{0, numbers[kOther]}}};
    for (const auto& [c, target] : nodes[node].next) {
      if (state.edges.back().first == c) state.edges.pop_back();
      state.edges.push_back({c, numbers[target]});
      state.edges.push_back({c + 1, numbers[kOther]});
    }
    states.push_back(std::move(state));
  }
  return minimal(std::move(states));
}

Language Language::of_lengths(size_t min, std::optional<size_t> max) {
  if (min > kMaxStates || max.value_or(0) > kMaxStates) refuse_large_language();
  std::vector<State> states;
  const auto last = static_cast<uint32_t>(max ? *max + 1 : min);
  for (uint32_t length = 0; length <= last; ++length)
    states.push_back({length >= min && !(max && length > *max), {{0, std::min(length + 1, last)}}});
  charge_states(states.size(), 0);
  return minimal(std::move(states));
}

Language Language::copy() const {
  size_t edges = 0;
  for (const State& state : states_) edges += state.edges.size();
  charge_states(states_.size() / 4, edges / 4);
  return *this;
}

Language Language::complement() const {
  Language result = copy();
  for (State& state : result.states_) state.accepts = !state.accepts;
  return result;
}

Language operator&(const Language& a, const Language& b) {
  if (a.is_all()) return b.copy();
  if (b.is_all()) return a.copy();
  return product(a, b, [](bool left, bool right) { return left && right; });
}

Language operator|(const Language& a, const Language& b) {
  return product(a, b, [](bool left, bool right) { return left || right; });
}

bool Language::empty() const {
  return std::ranges::none_of(states_, &State::accepts);  // all of them are reached
}

bool Language::contains(std::string_view utf8) const {
  uint32_t at = 0;
  for (const uint32_t c : characters_of(utf8)) at = next(at, c);
  return states_[at].accepts;
}

uint32_t Language::next(uint32_t state, uint32_t character) const {
  const auto after = std::ranges::upper_bound(states_[state].edges, character, {}, &Edge::first);
  return std::prev(after)->target;
}

std::vector<bool> Language::live() const {
  std::vector<std::vector<uint32_t>> into(states_.size());
  std::vector<uint32_t> pending;
  std::vector<bool> result(states_.size());
  for (uint32_t i = 0; i < states_.size(); ++i) {
    for (const Edge& edge : states_[i].edges) into[edge.target].push_back(i);
    if (states_[i].accepts) pending.push_back(i);
    result[i] = states_[i].accepts;
  }
  while (!pending.empty()) {
    const uint32_t at = pending.back();
    pending.pop_back();
    for (const uint32_t from : into[at]) {
      if (result[from]) continue;
      result[from] = true;
      pending.push_back(from);
    }
  }
  return result;
}

size_t Language::shortest() const {
  std::vector<bool> seen(states_.size());
  std::vector<uint32_t> here = {0};
  for (size_t length = 0;; ++length) {
    std::vector<uint32_t> next;
    for (const uint32_t at : here) {
      if (states_[at].accepts) return length;
      for (const Edge& edge : states_[at].edges) {
        if (seen[edge.target]) continue;
        seen[edge.target] = true;
        next.push_back(edge.target);
      }
    }
    if (next.empty()) return length;
    here = std::move(next);
  }
}

std::optional<size_t> Language::longest() const {
  // Live states are taken away once nothing leads to them; what is left over lies on circles.
  const std::vector<bool> is_live = live();
  std::vector<size_t> entries(states_.size()), length(states_.size());
  size_t left = 0, longest = 0;
  for (uint32_t i = 0; i < states_.size(); ++i) {
    if (!is_live[i]) continue;
    ++left;
    for (const Edge& edge : states_[i].edges) ++entries[edge.target];
  }
  std::vector<uint32_t> pending;
  if (is_live[0] && entries[0] == 0) pending.push_back(0);
  while (!pending.empty()) {
    const uint32_t at = pending.back();
    pending.pop_back();
    --left;
    if (states_[at].accepts) longest = std::max(longest, length[at]);
    for (const Edge& edge : states_[at].edges) {
      if (!is_live[edge.target]) continue;
      length[edge.target] = std::max(length[edge.target], length[at] + 1);
      if (--entries[edge.target] == 0) pending.push_back(edge.target);
    }
  }
  if (left > 0) return std::nullopt;
  return longest;
}

size_t Language::length_within(size_t states, size_t limit) const {
  const std::vector<bool> is_live = live();
  std::vector<uint32_t> here = {0};
  size_t taken = 1;
  for (size_t length = 0; length < limit; ++length) {
    std::vector<bool> seen(states_.size());
    std::vector<uint32_t> next;
    for (const uint32_t at : here) {
      for (const Edge& edge : states_[at].edges) {
        if (!is_live[edge.target] || seen[edge.target]) continue;
        seen[edge.target] = true;
        next.push_back(edge.target);
      }
    }
    // Those of texts that are of no use come beside them.
    if ((taken += next.size() + 1) > states) return length;
    here = std::move(next);
  }
  return limit;
}

std::optional<std::vector<std::string>> Language::texts(size_t most) const {
  const auto length = longest();
  if (!length) return std::nullopt;
  const std::vector<bool> is_live = live();
  std::vector<std::pair<uint32_t, std::string>> here = {{0, ""}};
  std::vector<std::string> result;
  while (!here.empty()) {
    std::vector<std::pair<uint32_t, std::string>> next;
    for (const auto& [at, text] : here) {
      if (states_[at].accepts) result.push_back(text);
      const auto& edges = states_[at].edges;
      for (size_t i = 0; i < edges.size(); ++i) {
        if (!is_live[edges[i].target]) continue;
        const uint32_t end = i + 1 < edges.size() ? edges[i + 1].first : kMaxCodePoint + 1;
        if (end - edges[i].first > most || next.size() > most) return std::nullopt;
        for (uint32_t c = edges[i].first; c < end; ++c) {
          next.emplace_back(edges[i].target, text);
          append_utf8(next.back().second, c);
        }
      }
    }
    if (result.size() > most || next.size() > most) return std::nullopt;
    here = std::move(next);
  }
  return result;
}

}  // namespace tessera::grammar
