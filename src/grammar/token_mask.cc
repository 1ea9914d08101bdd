#include "grammar/token_mask.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

namespace tessera::grammar {
namespace {

constexpr size_t kMaxBytes = 16 << 20;  // of masks, and as much again of local ones
// States of more ways than this are walked as a whole.
constexpr uint32_t kFewFrames = 4;
// Frames of all states that one walk may pass. Past that only tokens of one byte are looked at:
// only a grammar of boundless ambiguity comes to this.
constexpr size_t kMaxWalkFrames = 30'000;
// Work of the walks for one mask, and for what is found once for a node of the grammar.
constexpr size_t kMaxMaskWork = 3'500'000;
constexpr size_t kMaxLocalWork = 1'000'000;

void unite(Mask& mask, const Mask& other) {
  for (size_t word = 0; word < mask.size(); ++word) mask[word] |= other[word];
}

}  // namespace

std::shared_ptr<const Mask> TokenMasks::known(StackSet state) {
  const auto known = masks_.find(state);
  if (known == masks_.end()) return nullptr;
  uses_.splice(uses_.begin(), uses_, known->second.use);
  return known->second.mask;
}

std::shared_ptr<const Mask> TokenMasks::of(StackSet state, Deadline deadline) {
  if (auto mask = known(state)) return mask;
  const auto mask = std::make_shared<const Mask>(compute(state, deadline));
  if ((masks_.size() + 1) * mask_bytes() > kMaxBytes && !masks_.empty()) {
    masks_.erase(uses_.back());
    uses_.pop_back();
  }
  uses_.push_front(state);
  masks_.emplace(state, Entry{mask, uses_.begin()});
  return mask;
}

void TokenMasks::clear() {
  masks_.clear();
  uses_.clear();
}

size_t TokenMasks::bytes() const {
  return masks_.size() * mask_bytes() + local_bytes_;
}

std::shared_ptr<const Mask> TokenMasks::ending() const {
  Mask mask = empty();
  for (const Token token : trie_.end_tokens()) set(mask, token);
  return std::make_shared<const Mask>(std::move(mask));
}

Mask TokenMasks::compute(StackSet state, Deadline deadline) {
  Mask mask = empty();
  WorkMeter meter(automaton_, kMaxMaskWork, deadline);
  if (automaton_.size(state) <= kFewFrames) {
    const auto open =
        add_plain(plain_.reach(automaton_, meter, state, trie_.longest_plain()), mask);
    for (uint32_t i = 0; i < automaton_.size(state); ++i)
      add_frame(meter, automaton_.frame(state, i), open, mask);
  } else {
    walk_all(meter, state, mask, nullptr);
  }
  const bool nothing = std::ranges::all_of(mask, [](uint64_t word) { return word == 0; });
  if (nothing || automaton_.ends(state)) {
    for (const Token token : trie_.end_tokens()) set(mask, token);
  }
  return mask;
}

// Sets the tokens of the groups that are allowed as a whole. Tells for each group whether its
// tokens still have to be looked at, one by one.
std::vector<bool> TokenMasks::add_plain(const PlainText::Reach& reach, Mask& mask) {
  std::vector<bool> open;
  for (const TokenTrie::Group& group : trie_.groups()) {
    const bool all = group.is_plain() && group.longest <= reach.characters;
    const bool none = group.is_plain() && group.shortest > reach.characters && reach.ends;
    if (all) unite(mask, group.tokens);
    open.push_back(!all && !none);
  }
  return open;
}

void TokenMasks::add_frame(WorkMeter& meter, const Frame& frame, const std::vector<bool>& open,
                           Mask& mask) {
  if (frame.below == Automaton::kDead) return;  // an end of the stack
  const Local& known = local(frame.node, meter.deadline());
  const uint32_t deepest = known.depth + automaton_.grammar().deepest_node();
  if (automaton_.depth(frame.below) + deepest > Grammar::kMaxDepth) {
    // So deep that not all calls are allowed: no two stacks are alike.
    walk_all(meter, automaton_.alone(frame), mask, nullptr);
    return;
  }
  unite(mask, known.mask);
  // Departures are in the order of the groups.
  std::vector<uint32_t> nodes;
  auto at = known.departures.begin();
  for (size_t group = 0; group < open.size(); ++group) {
    const uint32_t past = trie_.node(trie_.groups()[group].root).end;
    const auto end = std::lower_bound(at, known.departures.end(), past);
    if (open[group]) nodes.insert(nodes.end(), at, end);
    at = end;
  }
  if (!nodes.empty()) walk(meter, nodes, automaton_.resume(frame.below), mask, nullptr);
}

const TokenMasks::Local& TokenMasks::local(uint32_t node, Deadline deadline) {
  if (const auto known = locals_.find(node); known != locals_.end()) return known->second;
  if (local_bytes_ > kMaxBytes) {
    locals_.clear();
    local_bytes_ = 0;
  }
  Local result{.mask = empty(), .departures = {}};
  WorkMeter meter(automaton_, kMaxLocalWork, deadline);
  walk_all(meter, automaton_.local(node), result.mask, &result);
  result.departures.shrink_to_fit();
  local_bytes_ += mask_bytes() + result.departures.size() * sizeof(uint32_t);
  return locals_.emplace(node, std::move(result)).first->second;
}

// Sets all tokens that the automaton can read from `state`.
void TokenMasks::walk_all(WorkMeter& meter, StackSet state, Mask& mask, Local* local) {
  const PlainText::Reach reach = plain_.reach(automaton_, meter, state, trie_.longest_plain());
  if (local != nullptr) local->depth = reach.depth;
  const auto open = add_plain(reach, mask);
  std::vector<uint32_t> roots;
  for (size_t group = 0; group < open.size(); ++group)
    if (open[group]) roots.push_back(trie_.groups()[group].root);
  walk(meter, roots, state, mask, local);
}

// Sets the tokens below `nodes` of the trie that the automaton can read from `state`.
void TokenMasks::walk(WorkMeter& meter, std::span<const uint32_t> nodes, StackSet state, Mask& mask,
                      Local* local) {
  const auto& classes = automaton_.grammar().byte_classes();
  std::unordered_set<StackSet> seen;
  size_t frames = 0;
  uint32_t deepest = UINT32_MAX;  // that is still walked
  const auto enter = [&](StackSet reached) -> Level {
    if (seen.insert(reached).second) frames += automaton_.size(reached);
    if (frames > kMaxWalkFrames) deepest = 1;
    if (local == nullptr) return {reached, false};
    local->depth = std::max(local->depth, automaton_.depth(reached));
    return {reached, automaton_.is_outside(reached)};
  };
  levels_.assign(trie_.longest() + 1, {Automaton::kDead, false});
  for (const uint32_t top : nodes) {
    levels_[trie_.node(top).depth] = {state, false};
    const uint32_t end = trie_.node(top).end;
    for (uint32_t at = top + 1; at < end;) {
      const TokenTrie::Node& node = trie_.node(at);
      const Level above = levels_[node.depth - 1];
      const StackSet reached = meter.next(above.state, classes[node.byte]);
      if (meter.exhausted()) deepest = 1;
      if (meter.hopeless()) return;
      if (reached == Automaton::kDead || node.depth > deepest) {
        at = node.end;
        continue;
      }
      for (const Token token : trie_.tokens(at)) set(mask, token);
      // Mostly the state is that of the node above, or of the one before it.
      Level& here = levels_[node.depth];
      if (reached != here.state) here = reached == above.state ? above : enter(reached);
      if (here.departs && node.end > at + 1) local->departures.push_back(at);
      ++at;
    }
  }
}

}  // namespace tessera::grammar
