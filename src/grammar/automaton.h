// The pushdown automaton that walks a Grammar byte by byte, in all ways at once.
//
// A way is a node and the stack of nodes to return to. The ways that are open form a *stack set*:
// frames of a node and the stack set below it, one frame a node, so that ways with a common top are
// one (the graph-structured stack of Tomita 1985). Stack sets are interned: equal sets have equal
// numbers. That makes a stack set a state, and next() a table that fills itself: a deterministic
// automaton made as far as it is used.
//
// Ambiguity is bounded: past kMaxFrames open ways, or too much work for one byte, further ways are
// dropped. Every way that is left can be completed, so an answer still parses; which ways are
// dropped depends on the text alone. What many bytes cost together is for the caller to bound: see
// WorkMeter.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "grammar/any_order.h"
#include "grammar/grammar.h"

namespace tessera::grammar {

using StackSet = uint32_t;

struct Frame {
  uint32_t node;
  StackSet below;
  bool operator==(const Frame&) const = default;
};

class Automaton {
 public:
  static constexpr StackSet kDead = 0;  // no way
  static constexpr size_t kMaxFrames = 4096;

  explicit Automaton(const Grammar& grammar);

  const Grammar& grammar() const { return grammar_; }
  // A state is a stack set whose frames read bytes, or are one of the two ends of a stack.
  StackSet start() { return start_; }
  // The state of one way at `node`, which reads bytes, knowing nothing of the stack below it.
  StackSet local(uint32_t node);
  // The state in which the stacks of `below` go on.
  StackSet resume(StackSet below);
  // The state of one way alone.
  StackSet alone(const Frame& frame) { return intern(frame); }
  StackSet next(StackSet state, uint8_t byte) {
    return next_of_class(state, grammar_.byte_classes()[byte]);
  }
  StackSet next_of_class(StackSet state, uint8_t byte_class) {
    return step(state, byte_class) & ~kCostly;
  }
  // The next state, with the flag kCostly if it took long to find.
  static constexpr StackSet kCostly = uint32_t{1} << 31;
  StackSet step(StackSet state, uint8_t byte_class) {
    const uint32_t row = sets_[state].row;
    if (row != kNone) {
      const StackSet known = transitions_[row + byte_class];
      if (known != kNone) return known;
    }
    return compute_next(state, byte_class);
  }
  // What a costly step took: ways looked at and frames written, each a few bytes of memory for as
  // long as the sets are kept. It depends on the state's ways and the byte, not on what was known.
  uint32_t cost(StackSet state, uint8_t byte_class) const {
    return costs_.at(sets_[state].row + byte_class);
  }

  bool ends(StackSet state) const { return has(state, Grammar::kEnd); }            // may end here
  bool is_outside(StackSet state) const { return has(state, Grammar::kOutside); }  // left local()
  uint32_t size(StackSet set) const { return sets_[set].frames; }
  Frame frame(StackSet set, uint32_t index) const { return frames_[sets_[set].first + index]; }
  uint32_t depth(StackSet set) const { return sets_[set].depth; }  // of its deepest stack

  size_t bytes() const;                                // of memory
  uint64_t total_work() const { return total_work_; }  // of all steps that were not known, ever
  void clear();  // forgets all sets and frees them; their numbers mean nothing afterwards

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  struct Set {
    uint32_t first, frames;  // in frames_, ascending by node
    uint32_t depth;
    uint32_t row;  // in transitions_
  };

  bool has(StackSet state, uint32_t node) const {
    const Set& set = sets_[state];
    for (uint32_t i = 0; i < set.frames && frames_[set.first + i].node <= node; ++i)
      if (frames_[set.first + i].node == node) return true;
    return false;
  }
  StackSet intern(std::span<const Frame> frames);
  StackSet intern(Frame frame) { return intern(std::span(&frame, 1)); }
  void grow_index();
  StackSet unite(StackSet a, StackSet b);
  StackSet unite(std::span<const StackSet> sets);
  StackSet compute_next(StackSet state, uint8_t byte_class);
  void begin() {
    total_work_ += work_ + frames_written_;
    frames_found_ = work_ = frames_written_ = 0;
  }
  void add(uint32_t node, StackSet below);
  bool take_arrivals(uint32_t node);
  void expand(uint32_t node, StackSet below);
  void expand_order(uint32_t node, StackSet below);
  uint32_t account_node(uint32_t node, const TakenMembers& members);
  const Grammar::Node& node_of(uint32_t node) const { return grammar_.node(accounts_.plain(node)); }
  StackSet close();

  const Grammar& grammar_;
  AccountNodes accounts_;
  std::vector<Set> sets_;
  std::vector<Frame> frames_;
  std::vector<StackSet> index_;  // hash table, open addressing; kNone where empty
  std::vector<StackSet> transitions_;
  std::unordered_map<uint32_t, uint32_t> costs_;  // of transitions that are costly
  StackSet start_ = kDead;

  // Of the closure at work. What comes to lie below a node is gathered, and united when the node is
  // expanded: a rule that is called from a hundred places is one union, not a hundred.
  struct Arrival {
    StackSet below;
    uint32_t before;  // in arrivals_, the one at the same node before this; kNone for the first
  };
  std::vector<StackSet> at_;            // by node: what lies below it; kNone if it is not there
  std::vector<uint32_t> last_arrival_;  // by node, in arrivals_; kNone if nothing is to be united
  std::vector<Arrival> arrivals_;
  std::vector<StackSet> arrived_;
  std::vector<uint32_t> touched_, pending_;
  std::unordered_map<uint64_t, StackSet> united_;
  uint64_t total_work_ = 0;
  size_t frames_found_ = 0, work_ = 0, frames_written_ = 0;
};

}  // namespace tessera::grammar
