#include "decode/grammar/token_mask.h"

#include <algorithm>
#include <unordered_set>

namespace tessera::grammar {
namespace {

constexpr size_t kMaxBytes = 16 << 20;  // of masks, and as much again of local ones
// States of more ways than this are walked as a whole.
constexpr uint32_t kFewFrames = 4;
// Frames of all states that one walk may pass. Past that the longest tokens are left out: only a
// grammar of boundless ambiguity comes to this.
constexpr size_t kMaxWalkFrames = 30'000;

void set(Mask& mask, Token token) {
  mask[static_cast<size_t>(token) / 64] |= uint64_t{1} << (token % 64);
}

}  // namespace

std::shared_ptr<const Mask> TokenMasks::of(StackSet state) {
  if (const auto known = masks_.find(state); known != masks_.end()) {
    uses_.splice(uses_.begin(), uses_, known->second.use);
    return known->second.mask;
  }
  const auto mask = std::make_shared<const Mask>(compute(state));
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

std::shared_ptr<const Mask> TokenMasks::ending() const {
  Mask mask = empty();
  for (const Token token : trie_.end_tokens()) set(mask, token);
  return std::make_shared<const Mask>(std::move(mask));
}

Mask TokenMasks::compute(StackSet state) {
  Mask mask = empty();
  if (automaton_.size(state) <= kFewFrames) {
    for (uint32_t i = 0; i < automaton_.size(state); ++i)
      add_frame(automaton_.frame(state, i), mask);
  } else {
    walk({{TokenTrie::kRoot, state}}, mask, nullptr);
  }
  const bool nothing = std::ranges::all_of(mask, [](uint64_t word) { return word == 0; });
  if (nothing || automaton_.ends(state)) {
    for (const Token token : trie_.end_tokens()) set(mask, token);
  }
  return mask;
}

void TokenMasks::add_frame(const Frame& frame, Mask& mask) {
  if (frame.below == Automaton::kDead) return;  // an end of the stack
  const Local& known = local(frame.node);
  const uint32_t deepest = known.depth + automaton_.grammar().deepest_node();
  if (automaton_.depth(frame.below) + deepest > Grammar::kMaxDepth) {
    // So deep that not all calls are allowed: no two stacks are alike.
    walk({{TokenTrie::kRoot, automaton_.alone(frame)}}, mask, nullptr);
    return;
  }
  for (size_t word = 0; word < mask.size(); ++word) mask[word] |= known.mask[word];
  if (known.departures.empty()) return;
  const StackSet below = automaton_.resume(frame.below);
  std::vector<Place> places;
  for (const uint32_t node : known.departures) places.push_back({node, below});
  walk(std::move(places), mask, nullptr);
}

const TokenMasks::Local& TokenMasks::local(uint32_t node) {
  if (const auto known = locals_.find(node); known != locals_.end()) return known->second;
  if (locals_.size() * mask_bytes() > kMaxBytes) locals_.clear();
  Local& result = locals_[node];
  result.mask = empty();
  walk({{TokenTrie::kRoot, automaton_.local(node)}}, result.mask, &result);
  return result;
}

// Sets the tokens below `places` that the automaton can read. Breadth first: a walk that is cut
// short has seen the short tokens.
void TokenMasks::walk(std::vector<Place> places, Mask& mask, Local* local) {
  const auto& classes = automaton_.grammar().byte_classes();
  std::unordered_set<StackSet> seen;
  size_t frames = 0;
  StackSet last = Automaton::kDead, last_reached = Automaton::kDead;
  bool departs = false;
  for (size_t next = 0; next < places.size(); ++next) {
    const auto [node, state] = places[next];
    if (state != last) {
      if (seen.insert(state).second) frames += automaton_.size(state);
      if (frames > kMaxWalkFrames) return;
      departs = local != nullptr && automaton_.is_outside(state);
      last = state;
    }
    if (departs) local->departures.push_back(node);
    const auto [first, end] = trie_.children(node);
    for (uint32_t child = first; child < end; ++child) {
      const StackSet reached = automaton_.next_of_class(state, classes[trie_.byte(child)]);
      if (reached == Automaton::kDead) continue;
      for (const Token token : trie_.tokens(child)) set(mask, token);
      if (local != nullptr && reached != last_reached) {
        local->depth = std::max(local->depth, automaton_.depth(reached));
        last_reached = reached;
      }
      const auto [first_grandchild, last_grandchild] = trie_.children(child);
      if (first_grandchild != last_grandchild) places.push_back({child, reached});
    }
  }
}

}  // namespace tessera::grammar
