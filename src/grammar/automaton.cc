#include "grammar/automaton.h"

#include <algorithm>

namespace tessera::grammar {
namespace {

// Steps of one closure. The grammars that people write take a few dozen.
constexpr size_t kMaxWork = 20'000;

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

Automaton::Automaton(const Grammar& grammar) : grammar_(grammar), at_(grammar.nodes(), kNone) {
  clear();
}

void Automaton::clear() {
  sets_.clear();
  frames_.clear();
  transitions_.clear();
  sets_.push_back({0, 0, 0, kNone});  // kDead
  index_.assign(64, kNone);
  // A stack that is empty needs something to stand on.
  add(grammar_.start(), intern({Grammar::kEnd, kDead}));
  start_ = close();
}

size_t Automaton::bytes() const {
  return sets_.size() * sizeof(Set) + frames_.size() * sizeof(Frame) +
         (index_.size() + transitions_.size()) * sizeof(StackSet);
}

StackSet Automaton::local(uint32_t node) {
  return alone({node, intern({Grammar::kOutside, kDead})});
}

StackSet Automaton::resume(StackSet below) {
  for (uint32_t i = 0; i < size(below); ++i) {
    const Frame top = frame(below, i);
    add(top.node, top.below);
  }
  return close();
}

StackSet Automaton::compute_next(StackSet state, uint8_t byte_class) {
  for (uint32_t i = 0; i < size(state); ++i) {
    const Frame top = frame(state, i);
    for (const Grammar::Edge& edge : grammar_.edges(top.node)) {
      if (edge.kind == Grammar::Edge::Kind::kBytes && grammar_.matches(edge, byte_class))
        add(edge.target, top.below);
    }
  }
  const StackSet next = close();
  if (sets_[state].row == kNone) {
    sets_[state].row = static_cast<uint32_t>(transitions_.size());
    transitions_.resize(transitions_.size() + grammar_.classes(), kNone);
  }
  transitions_[sets_[state].row + byte_class] = next;
  return next;
}

// A way at `node`, whose closure is still to be made. Dropped where it could not be finished within
// the depth, or where there are too many.
void Automaton::add(uint32_t node, StackSet below) {
  if (depth(below) + grammar_.node(node).depth > Grammar::kMaxDepth) return;
  if (++work_ > kMaxWork) return;
  StackSet& known = at_[node];
  if (known == kNone) {
    if (grammar_.node(node).reads_byte && ++frames_found_ > kMaxFrames) return;
    known = below;
    touched_.push_back(node);
  } else {
    const StackSet both = unite(known, below);
    if (both == known) return;
    known = both;
  }
  pending_.push_back(node);
}

void Automaton::expand(uint32_t node, StackSet below) {
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
    expand(node, at_[node]);
  }
  std::ranges::sort(touched_);
  std::vector<Frame> state;
  for (const uint32_t node : touched_) {
    if (grammar_.node(node).reads_byte || node == Grammar::kEnd || node == Grammar::kOutside)
      state.push_back({node, at_[node]});
    at_[node] = kNone;
  }
  touched_.clear();
  united_.clear();
  frames_found_ = work_ = 0;
  return intern(state);
}

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

StackSet Automaton::intern(std::span<const Frame> frames) {
  if (frames.empty()) return kDead;
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
