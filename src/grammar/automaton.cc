#include "grammar/automaton.h"

#include <algorithm>

namespace tessera::grammar {
namespace {

// Steps of one closure. The grammars that people write take a few dozen.
constexpr size_t kMaxWork = 20'000;
// Steps that cost no more are not noted: a walk over a whole vocabulary may take as many of them as
// it has bytes.
constexpr size_t kCheap = 64;

uint64_t mix(uint64_t hash, uint64_t value) {
  hash = (hash ^ value) * 0x9E3779B97F4A7C15;
  return hash ^ hash >> 29;
}

uint64_t hash_of(std::span<const Frame> frames) {
  uint64_t hash = frames.size();
  for (const Frame& frame : frames)
    hash = mix(hash, static_cast<uint64_t>(frame.node) << 32 | frame.below);
  return hash;
}

}  // namespace

Automaton::Automaton(const Grammar& grammar)
    : grammar_(grammar),
      accounts_(grammar),
      at_(grammar.nodes(), kNone),
      last_arrival_(grammar.nodes(), kNone) {
  clear();
}

void Automaton::clear() {
  accounts_.clear();
  at_.resize(grammar_.nodes());
  last_arrival_.resize(grammar_.nodes());
  // Also what a closure has left behind that ran out of memory.
  std::ranges::fill(at_, kNone);
  std::ranges::fill(last_arrival_, kNone);
  pending_.clear();
  touched_.clear();
  arrivals_.clear();
  united_.clear();
  sets_ = {};
  frames_ = {};
  transitions_ = {};
  costs_ = {};
  sets_.push_back({0, 0, 0, kNone});  // kDead
  index_ = std::vector<StackSet>(64, kNone);
  begin();
  // A stack that is empty needs something to stand on.
  add(grammar_.start(), intern({Grammar::kEnd, kDead}));
  start_ = close();
}

size_t Automaton::bytes() const {
  constexpr size_t kBytesOfCost = 48;  // of a hash table's entry
  return sets_.size() * sizeof(Set) + frames_.size() * sizeof(Frame) +
         (index_.size() + transitions_.size()) * sizeof(StackSet) + costs_.size() * kBytesOfCost +
         accounts_.bytes() +
         (at_.size() - grammar_.nodes() + last_arrival_.size() - grammar_.nodes()) *
             sizeof(StackSet);
}

StackSet Automaton::local(uint32_t node) {
  return alone({node, intern({Grammar::kOutside, kDead})});
}

StackSet Automaton::resume(StackSet below) {
  begin();
  for (uint32_t i = 0; i < size(below); ++i) {
    const Frame top = frame(below, i);
    add(top.node, top.below);
  }
  return close();
}

StackSet Automaton::compute_next(StackSet state, uint8_t byte_class) {
  begin();
  size_t edges = 0;
  for (uint32_t i = 0; i < size(state); ++i) {
    const Frame top = frame(state, i);
    for (const Grammar::Edge& edge : grammar_.edges(top.node)) {
      if (edge.kind == Grammar::Edge::Kind::kBytes && grammar_.matches(edge, byte_class))
        add(edge.target, top.below);
    }
    edges += grammar_.edges(top.node).size();
  }
  StackSet next = close();
  const size_t cost = work_ + frames_written_ + edges / 8;
  if (sets_[state].row == kNone) {
    sets_[state].row = static_cast<uint32_t>(transitions_.size());
    transitions_.resize(transitions_.size() + grammar_.classes(), kNone);
  }
  const uint32_t at = sets_[state].row + byte_class;
  if (cost > kCheap) {
    costs_[at] = static_cast<uint32_t>(cost);
    next |= kCostly;
  }
  transitions_[at] = next;
  return next;
}

// A way at `node`, whose closure is still to be made. Dropped where it could not be finished within
// the depth, or where there are too many.
void Automaton::add(uint32_t node, StackSet below) {
  if (depth(below) + node_of(node).depth > Grammar::kMaxDepth) return;
  if (++work_ > kMaxWork) return;
  if (at_[node] == kNone && last_arrival_[node] == kNone) {
    if (node_of(node).reads_byte && ++frames_found_ > kMaxFrames) return;
    touched_.push_back(node);
  }
  if (last_arrival_[node] == kNone) pending_.push_back(node);
  arrivals_.push_back({below, last_arrival_[node]});
  last_arrival_[node] = static_cast<uint32_t>(arrivals_.size() - 1);
}

// Unites what has come to lie below `node`; whether that brings anything new.
bool Automaton::take_arrivals(uint32_t node) {
  arrived_.clear();
  for (uint32_t i = last_arrival_[node]; i != kNone; i = arrivals_[i].before)
    arrived_.push_back(arrivals_[i].below);
  last_arrival_[node] = kNone;
  std::ranges::reverse(arrived_);  // in the order of their coming
  StackSet all = unite(std::span<const StackSet>(arrived_));
  if (at_[node] != kNone) all = unite(at_[node], all);
  if (all == at_[node]) return false;
  at_[node] = all;
  return true;
}

uint32_t Automaton::account_node(uint32_t node, const TakenMembers& members) {
  const uint32_t number = accounts_.number_of({node, members});
  if (number >= at_.size()) {
    at_.resize(number + 1, kNone);
    last_arrival_.resize(number + 1, kNone);
  }
  return number;
}

void Automaton::expand_order(uint32_t node, StackSet below) {
  const uint32_t plain = accounts_.plain(node);
  const Grammar::Order& order = grammar_.order(grammar_.node(plain).order);
  const TakenMembers members =
      accounts_.is_known(node) ? accounts_.account(node).members : TakenMembers{};
  const auto call = [&](const Grammar::Edge& edge, const TakenMembers& after) {
    if (depth(below) + grammar_.node(edge.target).depth > Grammar::kMaxDepth) return;
    add(edge.what, intern({account_node(edge.target, after), below}));
  };
  for (const Grammar::Edge& edge : grammar_.edges(plain)) {
    if (edge.kind == Grammar::Edge::Kind::kEmpty) {
      if (is_done(order, members)) add(edge.target, below);
    } else if (plain != order.after) {
      if (const auto after = with(order, members, edge.member)) call(edge, *after);
    } else if (std::ranges::any_of(grammar_.edges(edge.target), [&](const Grammar::Edge& next) {
                 return with(order, members, next.member).has_value();
               })) {
      call(edge, members);
    }
  }
}

void Automaton::expand(uint32_t node, StackSet below) {
  if (node_of(node).order != Grammar::kNoOrder) return expand_order(node, below);
  for (const Grammar::Edge& edge : grammar_.edges(node)) {
    if (edge.kind == Grammar::Edge::Kind::kEmpty) {
      add(edge.target, below);
    } else if (edge.kind == Grammar::Edge::Kind::kCall) {
      if (edge.tail) {
        add(edge.what, below);
      } else if (depth(below) + grammar_.node(edge.target).depth <= Grammar::kMaxDepth) {
        add(edge.what, intern({edge.target, below}));
      }
    }
  }
  if (!grammar_.node(node).final) return;
  for (uint32_t i = 0; i < size(below); ++i) {
    const Frame top = frame(below, i);
    add(top.node, top.below);
  }
}

// The state that the ways added so far come to.
StackSet Automaton::close() {
  while (!pending_.empty()) {
    const uint32_t node = pending_.back();
    pending_.pop_back();
    if (take_arrivals(node)) expand(node, at_[node]);
  }
  std::ranges::sort(touched_);
  std::vector<Frame> state;
  for (const uint32_t node : touched_) {
    if (node_of(node).reads_byte || node == Grammar::kEnd || node == Grammar::kOutside)
      state.push_back({node, at_[node]});
    at_[node] = kNone;
  }
  touched_.clear();
  arrivals_.clear();
  united_.clear();
  return intern(state);
}

// The stacks of both. Where that is too much work, those of `a`.
StackSet Automaton::unite(StackSet a, StackSet b) {
  if (a == b || b == kDead) return a;
  if (a == kDead) return b;
  const uint64_t key = static_cast<uint64_t>(std::min(a, b)) << 32 | std::max(a, b);
  if (const auto known = united_.find(key); known != united_.end()) return known->second;
  std::vector<Frame> frames;
  uint32_t i = 0, j = 0;
  while (i < size(a) || j < size(b)) {
    if (++work_ > kMaxWork) return a;
    if (j == size(b) || (i < size(a) && frame(a, i).node < frame(b, j).node)) {
      frames.push_back(frame(a, i++));
    } else if (i == size(a) || frame(b, j).node < frame(a, i).node) {
      frames.push_back(frame(b, j++));
    } else {
      const Frame left = frame(a, i++), right = frame(b, j++);
      frames.push_back({left.node, unite(left.below, right.below)});
    }
  }
  const StackSet result = intern(frames);
  united_.emplace(key, result);
  return result;
}

// The stacks of all `sets`, by halves: so each frame is written a few times, not once for each set.
StackSet Automaton::unite(std::span<const StackSet> sets) {
  if (sets.size() == 1) return sets.front();
  const size_t half = sets.size() / 2;
  return unite(unite(sets.first(half)), unite(sets.subspan(half)));
}

StackSet Automaton::intern(std::span<const Frame> frames) {
  if (frames.empty()) return kDead;
  frames_written_ += frames.size();
  size_t slot = hash_of(frames) & (index_.size() - 1);
  for (; index_[slot] != kNone; slot = (slot + 1) & (index_.size() - 1)) {
    const Set& set = sets_[index_[slot]];
    if (std::ranges::equal(std::span(frames_).subspan(set.first, set.frames), frames))
      return index_[slot];
  }
  uint32_t deepest = 0;
  for (const Frame& frame : frames) deepest = std::max(deepest, depth(frame.below));
  const auto number = static_cast<StackSet>(sets_.size());
  sets_.push_back({static_cast<uint32_t>(frames_.size()), static_cast<uint32_t>(frames.size()),
                   deepest + 1, kNone});
  frames_.insert(frames_.end(), frames.begin(), frames.end());
  index_[slot] = number;
  if (sets_.size() * 2 > index_.size()) grow_index();
  return number;
}

void Automaton::grow_index() {
  index_.assign(index_.size() * 2, kNone);
  for (StackSet set = 1; set < sets_.size(); ++set) {
    const auto frames = std::span(frames_).subspan(sets_[set].first, sets_[set].frames);
    size_t slot = hash_of(frames) & (index_.size() - 1);
    while (index_[slot] != kNone) slot = (slot + 1) & (index_.size() - 1);
    index_[slot] = set;
  }
}

}  // namespace tessera::grammar
