#include "cache/block_pool.h"

#include <xxhash.h>

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace tessera {

BlockPool::BlockPool(int blocks, int block_tokens) : block_tokens_(block_tokens), blocks_(blocks) {
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
  b.serial = 0;
  b.tokens.clear();
  free_.push_back(block);
}

}  // namespace tessera
