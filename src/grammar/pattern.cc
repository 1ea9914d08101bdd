#include "grammar/pattern.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "base/error.h"
#include "grammar/pattern_syntax.h"

namespace tessera::grammar {
namespace {

constexpr size_t kMaxPositions = 40'000;
// What is done in the time that a state takes: looks at a way, or at a promise of it.
constexpr size_t kLooksTillAState = 64;
constexpr size_t kLooksOfAWay = 16;  // to follow it

// A nondeterministic automaton (Thompson 1968). What is looked at ahead or behind is a language of
// its own: a way that meets it goes on if the text so far is in it, or takes it along until the
// text that follows has shown whether it is.
class Machine {
 public:
  // Texts that begin with `pattern`, end with it, or have it anywhere.
  enum class Place { kBeginning, kEnd, kAnywhere };

  Machine(const Pattern& pattern, Place place) : place_(place) {
    boundaries_ = {0};
    start_ = new_position(Kind::kSplit);
    if (place != Place::kBeginning) {
      static const CharSet all = CharSet::all();
      const uint32_t any = read(start_, all);
      lead(any, start_);
    }
    const uint32_t end = add(pattern, start_);
    end_ = new_position(Kind::kEnd);
    lead(end, end_);
  }

  Language language() {
    const std::vector<uint32_t> firsts(boundaries_.begin(), boundaries_.end());
    State start{.behind = std::vector<uint32_t>(behind_.size())};
    start.ways = closure({{start_, {}}}, start.behind);
    return explore(
        settled(std::move(start)), firsts,
        [this](const State& from, uint32_t character) { return step(from, character); },
        [this](const State& state) { return accepts(state); });
  }

 private:
  enum class Kind : uint8_t { kRead, kSplit, kLook, kEnd };
  struct Position {
    Kind kind;
    bool negative = false, behind = false;  // of a look
    uint32_t what = 0;                      // of a look: in ahead_ or behind_
    const CharSet* chars = nullptr;         // of the pattern
    std::vector<uint32_t> next = {};
  };
  // What is to come: that the rest of the text is in a language of ahead_, or is not.
  struct Promise {
    uint32_t what, state;
    bool negative;
    auto operator<=>(const Promise&) const = default;
  };
  struct Way {
    uint32_t position;
    std::vector<Promise> promises;  // ascending
    auto operator<=>(const Way&) const = default;
  };
  struct State {
    std::vector<Way> ways = {};         // ascending
    std::vector<uint32_t> behind = {};  // the state of each of behind_
    auto operator<=>(const State&) const = default;
  };

  uint32_t new_position(Kind kind) {
    if (positions_.size() == kMaxPositions) refuse_large_language();
    positions_.push_back({.kind = kind});
    return static_cast<uint32_t>(positions_.size() - 1);
  }
  void lead(uint32_t from, uint32_t to) { positions_[from].next.push_back(to); }

  uint32_t read(uint32_t from, const CharSet& set) {
    if (sets_.insert(&set).second) {  // else it is one that is repeated
      for (const auto& [first, last] : set.ranges()) {
        boundaries_.insert(first);
        if (last < kMaxCodePoint) boundaries_.insert(last + 1);
      }
    }
    const uint32_t position = new_position(Kind::kRead);
    positions_[position].chars = &set;
    lead(from, position);
    const uint32_t after = new_position(Kind::kSplit);
    lead(position, after);
    return after;
  }

  // Adds what reads `pattern` at `from`; gives the position after it.
  uint32_t add(const Pattern& pattern, uint32_t from) {
    switch (pattern.kind) {
      case Pattern::Kind::kChars:
        return read(from, pattern.chars);
      case Pattern::Kind::kSequence:
        for (const Pattern& item : pattern.items) from = add(item, from);
        return from;
      case Pattern::Kind::kChoice: {
        const uint32_t end = new_position(Kind::kSplit);
        for (const Pattern& item : pattern.items) lead(add(item, from_here(from)), end);
        return end;
      }
      case Pattern::Kind::kRepeat:
        return add_repeat(pattern, from);
      case Pattern::Kind::kLook:
        return add_look(pattern, from);
    }
    return from;
  }
  uint32_t from_here(uint32_t from) {
    const uint32_t here = new_position(Kind::kSplit);
    lead(from, here);
    return here;
  }

  uint32_t add_repeat(const Pattern& pattern, uint32_t from) {
    const Pattern& item = pattern.items[0];
    for (int i = 0; i < pattern.min; ++i) from = add(item, from_here(from));
    const uint32_t end = new_position(Kind::kSplit);
    if (pattern.max == kUnbounded) {
      const uint32_t loop = from_here(from);
      lead(loop, end);
      lead(add(item, from_here(loop)), loop);
      return end;
    }
    for (int i = pattern.min; i < pattern.max; ++i) {
      lead(from, end);
      from = add(item, from_here(from));
    }
    lead(from, end);
    return end;
  }

  uint32_t add_look(const Pattern& pattern, uint32_t from) {
    // There the text of the other direction is not at hand.
    if (pattern.behind ? place_ == Place::kBeginning : place_ == Place::kEnd)
      fail("json_schema: a pattern that looks back and ahead at once is not supported");
    const auto [known, is_new] = looks_.emplace(&pattern, 0);
    if (is_new) {
      Machine inside(pattern.items[0], pattern.behind ? Place::kEnd : Place::kBeginning);
      boundaries_.insert(inside.boundaries_.begin(), inside.boundaries_.end());
      auto& languages = pattern.behind ? behind_ : ahead_;
      languages.push_back(inside.language());
      known->second = static_cast<uint32_t>(languages.size() - 1);
    }
    const uint32_t position = new_position(Kind::kLook);
    positions_[position].negative = pattern.negative;
    positions_[position].behind = pattern.behind;
    positions_[position].what = known->second;
    lead(from, position);
    const uint32_t after = new_position(Kind::kSplit);
    lead(position, after);
    return after;
  }

  static bool is_decided(const Language& language, uint32_t state) {
    const auto& edges = language.states()[state].edges;
    return edges.size() == 1 && edges[0].target == state;
  }

  // Adds what must come; false if it cannot.
  bool promise(std::vector<Promise>& promises, Promise made) const {
    const Language& language = ahead_[made.what];
    if (is_decided(language, made.state))
      return language.states()[made.state].accepts != made.negative;
    const auto at = std::ranges::lower_bound(promises, made);
    if (at == promises.end() || *at != made) promises.insert(at, made);
    return true;
  }

  // All ways from `ways` to positions that read, or are the end.
  std::vector<Way> closure(std::vector<Way> pending, const std::vector<uint32_t>& behind) {
    std::set<Way> seen(pending.begin(), pending.end());
    std::vector<Way> result;
    while (!pending.empty()) {
      const Way way = std::move(pending.back());
      pending.pop_back();
      charge(kLooksOfAWay + 2 * way.promises.size());
      const Position& position = positions_[way.position];
      Way next = way;
      if (position.kind == Kind::kRead) {
        result.push_back(way);
        continue;
      }
      if (position.kind == Kind::kEnd) {
        // What follows does not matter, unless the text has to end with the pattern.
        if (place_ != Place::kEnd && way.promises.empty()) return {way};
        result.push_back(way);
        continue;
      }
      if (position.kind == Kind::kLook) {
        if (position.behind) {
          const bool is_there = behind_[position.what].states()[behind[position.what]].accepts;
          if (is_there == position.negative) continue;
        } else if (!promise(next.promises, {position.what, 0, position.negative})) {
          continue;
        }
      }
      for (const uint32_t to : position.next) {
        next.position = to;
        if (seen.insert(next).second) pending.push_back(next);
      }
    }
    std::ranges::sort(result);
    return result;
  }

  // Where all that follows is in the language, or nothing, what was read matters no more.
  State settled(State state) const {
    const bool all = state.ways.size() == 1 && state.ways[0].position == end_ &&
                     state.ways[0].promises.empty() && place_ != Place::kEnd;
    if (all || state.ways.empty()) state.behind.clear();
    return state;
  }

  State step(const State& from, uint32_t character) {
    if (from.behind.size() < behind_.size()) return from;
    charge(from.behind.size() + from.ways.size());
    State to;
    for (size_t i = 0; i < behind_.size(); ++i)
      to.behind.push_back(behind_[i].next(from.behind[i], character));
    std::vector<Way> ways;
    for (const Way& way : from.ways) {
      const Position& position = positions_[way.position];
      Way next{position.kind == Kind::kEnd ? way.position : position.next[0], {}};
      if (position.kind == Kind::kEnd ? place_ == Place::kEnd
                                      : !position.chars->contains(character))
        continue;
      charge(way.promises.size());
      bool kept = true;
      for (const Promise& made : way.promises) {
        const uint32_t state = ahead_[made.what].next(made.state, character);
        kept = kept && promise(next.promises, {made.what, state, made.negative});
      }
      if (kept) ways.push_back(std::move(next));
    }
    to.ways = closure(std::move(ways), to.behind);
    return settled(std::move(to));
  }
  void charge(size_t looks) {
    looks_made_ += looks;
    charge_states(looks_made_ / kLooksTillAState, 0);
    looks_made_ %= kLooksTillAState;
  }

  bool accepts(const State& state) const {
    return std::ranges::any_of(state.ways, [this](const Way& way) {
      return way.position == end_ && std::ranges::all_of(way.promises, [this](const Promise& made) {
               return ahead_[made.what].states()[made.state].accepts != made.negative;
             });
    });
  }

  const Place place_;
  std::vector<Position> positions_;
  uint32_t start_ = 0, end_ = 0;
  std::vector<Language> ahead_, behind_;
  std::map<const Pattern*, uint32_t> looks_;  // which of ahead_ or behind_, if it is repeated
  std::set<const CharSet*> sets_;
  std::set<uint32_t> boundaries_;
  size_t looks_made_ = 0;  // that are not charged yet
};

}  // namespace

Language pattern_language(std::string_view pattern) {
  return Machine(parse_pattern(pattern), Machine::Place::kAnywhere).language();
}

}  // namespace tessera::grammar
