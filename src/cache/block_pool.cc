#include "cache/block_pool.h"

#include <xxhash.h>

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace tessera {

BlockPool::BlockPool(int blocks, int block_tokens, int states)
    : block_tokens_(block_tokens), blocks_(blocks), states_(states) {
  for (int state = states - 1; state >= 0; --state) free_states_.push_back(state);
  free_.reserve(blocks);
  for (int block = blocks - 1; block >= 0; --block) free_.push_back(block);
}

std::optional<BlockId> BlockPool::allocate() {
  if (free_.empty()) {
    if (cached_.empty()) return std::nullopt;
    forget(cached_.front());
  }
  const BlockId block = free_.back();
  free_.pop_back();
  blocks_[block].references = 1;
  return block;
}

void BlockPool::retain(BlockId block) {
  Block& b = blocks_[block];
  TESSERA_ASSERT(b.references > 0 || b.serial != 0);  // a free block holds nothing to share
  if (b.references++ == 0) cached_.erase(b.cached);
}

void BlockPool::release(BlockId block) {
  Block& b = blocks_[block];
  TESSERA_ASSERT(b.references > 0);
  if (--b.references > 0) return;
  if (b.serial == 0) {
    free_.push_back(block);
  } else {
    b.cached = cached_.insert(cached_.end(), block);
  }
}

BlockSerial BlockPool::root(std::string_view salt, std::string_view variant) {
  if (salt.empty() && variant.empty()) return kRootSerial;
  // The length keeps apart where one ends and the other begins.
  std::string key = std::to_string(variant.size()) + ":";
  key.append(variant).append(salt);
  auto entry = salts_.find(key);
  if (entry == salts_.end()) {
    if (salts_.size() >= kMaxSalts) {
      salts_.erase(std::ranges::min_element(
          salts_, {}, [](const auto& candidate) { return candidate.second.used; }));
    }
    entry = salts_.emplace(std::move(key), Salt{next_serial_++, 0}).first;
  }
  entry->second.used = ++salt_uses_;
  return entry->second.root;
}

std::optional<BlockPool::Found> BlockPool::find(BlockSerial parent, std::span<const Token> tokens) {
  const auto entry = find_entry(parent, tokens);
  if (entry == index_.end()) return std::nullopt;
  retain(entry->second);
  return Found{entry->second, blocks_[entry->second].serial};
}

BlockSerial BlockPool::publish(BlockId block, BlockSerial parent, std::span<const Token> tokens) {
  if (const auto entry = find_entry(parent, tokens); entry != index_.end()) {
    return blocks_[entry->second].serial;
  }
  Block& b = blocks_[block];
  TESSERA_ASSERT(b.references > 0 && b.serial == 0);
  TESSERA_ASSERT(static_cast<int>(tokens.size()) == block_tokens_);
  b.serial = next_serial_++;
  b.parent = parent;
  b.tokens.assign(tokens.begin(), tokens.end());
  index_.emplace(hash(parent, tokens), block);
  return b.serial;
}

int BlockPool::available_states() const {
  const auto is_free = [&](BlockId block) { return states_[*blocks_[block].state] == 1; };
  return static_cast<int>(std::ssize(free_states_) + std::ranges::count_if(with_state_, is_free));
}

std::optional<StateId> BlockPool::allocate_state() {
  // A state that a sequence holds as well is not free when its block gives it up.
  for (auto block = with_state_.begin(); free_states_.empty() && block != with_state_.end();) {
    const BlockId oldest = *block++;
    const StateId state = *blocks_[oldest].state;
    if (states_[state] == 1) detach_state(oldest, state);
  }
  if (free_states_.empty()) return std::nullopt;
  const StateId state = free_states_.back();
  free_states_.pop_back();
  states_[state] = 1;
  return state;
}

void BlockPool::retain_state(StateId state) {
  TESSERA_ASSERT(states_[state] > 0);
  ++states_[state];
}

void BlockPool::release_state(StateId state) {
  TESSERA_ASSERT(states_[state] > 0);
  if (--states_[state] == 0) free_states_.push_back(state);
}

std::optional<StateId> BlockPool::find_state(BlockId block) {
  Block& b = blocks_[block];
  if (!b.state) return std::nullopt;
  with_state_.splice(with_state_.end(), with_state_, b.stated);
  retain_state(*b.state);
  return b.state;
}

void BlockPool::attach_state(BlockId block, StateId state) {
  Block& b = blocks_[block];
  TESSERA_ASSERT(b.serial != 0);
  if (b.state) return;
  retain_state(state);
  b.state = state;
  b.stated = with_state_.insert(with_state_.end(), block);
}

void BlockPool::detach_state(BlockId block, StateId state) {
  Block& b = blocks_[block];
  if (b.state != state) return;
  with_state_.erase(b.stated);
  b.state.reset();
  release_state(state);
}

uint64_t BlockPool::hash(BlockSerial parent, std::span<const Token> tokens) const {
  return XXH3_64bits_withSeed(tokens.data(), tokens.size_bytes(), parent);
}

BlockPool::Index::iterator BlockPool::find_entry(BlockSerial parent,
                                                 std::span<const Token> tokens) {
  auto [entry, end] = index_.equal_range(hash(parent, tokens));
  for (; entry != end; ++entry) {
    const Block& b = blocks_[entry->second];
    if (b.parent == parent && std::ranges::equal(b.tokens, tokens)) return entry;
  }
  return index_.end();
}

void BlockPool::forget(BlockId block) {
  Block& b = blocks_[block];
  cached_.erase(b.cached);
  index_.erase(find_entry(b.parent, b.tokens));
  if (b.state) detach_state(block, *b.state);
  b.serial = 0;
  b.tokens.clear();
  free_.push_back(block);
}

}  // namespace tessera
