// Regular languages: sets of texts that can be intersected, joined and complemented. What a JSON
// schema says of strings, of properties' names and of numbers as they are written are such sets.
//
// A language is a complete deterministic automaton over Unicode characters (Rabin and Scott 1959).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "grammar/syntax.h"

namespace tessera::grammar {

class Language {
 public:
  // More states than this are refused: a product of patterns can ask for any number.
  static constexpr size_t kMaxStates = 20'000;

  struct Edge {
    uint32_t first;   // the characters from this one to before the next edge's
    uint32_t target;  // state
    bool operator==(const Edge&) const = default;
  };
  struct State {
    bool accepts = false;
    std::vector<Edge> edges = {};  // ascending; the first begins at 0
  };

  static Language none() { return uniform(false); }
  static Language all() { return uniform(true); }
  static Language of(std::span<const std::string> texts);  // in UTF-8
  static Language of_lengths(size_t min, std::optional<size_t> max);
  // `states` from the first one on.
  explicit Language(std::vector<State> states);

  Language complement() const;
  // Throw Error where more than kMaxStates are needed.
  friend Language operator&(const Language& a, const Language& b);
  friend Language operator|(const Language& a, const Language& b);
  Language minus(const Language& other) const { return *this & other.complement(); }

  bool empty() const;
  bool is_all() const { return states_.size() == 1 && states_[0].accepts; }
  bool contains(std::string_view utf8) const;
  // In characters; of a language that is not empty. nullopt: there is no longest text.
  size_t shortest() const;
  std::optional<size_t> longest() const;
  // To which length, at most `limit`, its texts can be limited by so many states.
  size_t length_within(size_t states, size_t limit) const;
  // All texts, in UTF-8; nullopt if there are more than `most`.
  std::optional<std::vector<std::string>> texts(size_t most) const;

  const std::vector<State>& states() const { return states_; }
  // Where a character leads from one of the states.
  uint32_t next(uint32_t state, uint32_t character) const;
  // Of each state: whether a text of the language passes it.
  std::vector<bool> live() const;

 private:
  Language() = default;
  static Language uniform(bool accepts) { return minimal({{accepts, {{0, 0}}}}); }
  static Language minimal(std::vector<State> states);  // of which no two are equal
  Language copy() const;                               // and its costs
  void minimize();

  std::vector<State> states_;  // the first is the start
};

[[noreturn]] void refuse_large_language();

// Charges states and their edges, which are looked at when they are made.
void charge_states(size_t states, size_t edges);

// The language that a machine of any kind accepts, whose states are found as they are reached.
// `firsts`, ascending from 0, begin the classes of characters that it does not tell apart.
//   State step(const State&, uint32_t character), bool accepts(const State&)
template <typename State, typename Step, typename Accepts>
Language explore(State start, std::span<const uint32_t> firsts, Step step, Accepts accepts) {
  std::map<State, uint32_t> numbers;
  std::vector<const State*> found;
  const auto number_of = [&](State state) {
    const auto [at, is_new] =
        numbers.emplace(std::move(state), static_cast<uint32_t>(numbers.size()));
    if (is_new) {
      found.push_back(&at->first);
      charge_states(1, firsts.size());
    }
    if (found.size() > Language::kMaxStates) refuse_large_language();
    return at->second;
  };
  number_of(std::move(start));
  std::vector<Language::State> states;
  for (size_t i = 0; i < found.size(); ++i) {
    const State& from = *found[i];
    Language::State state{accepts(from)};
    for (const uint32_t first : firsts) {
      const uint32_t target = number_of(step(from, first));
      if (state.edges.empty() || state.edges.back().target != target)
        state.edges.push_back({first, target});
    }
    states.push_back(std::move(state));
  }
  return Language(std::move(states));
}

}  // namespace tessera::grammar
