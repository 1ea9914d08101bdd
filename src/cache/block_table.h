// The blocks of one sequence, in logical order.
#pragma once

#include <span>
#include <vector>

#include "cache/block_pool.h"

namespace tessera {

class BlockTable {
 public:
  explicit BlockTable(BlockPool& pool) : pool_(&pool) {}
  ~BlockTable() { clear(); }
  BlockTable(const BlockTable&) = delete;
  BlockTable& operator=(const BlockTable&) = delete;

  // For an empty table: adopts the longest cached prefix of `tokens` that leaves at least one token
  // to compute (its logits are wanted). Returns how many tokens it covers.
  int adopt_prefix(std::span<const Token> tokens);
  // Makes slots for logical positions below `tokens`. False if the pool ran out; what was
  // reserved so far stays.
  bool reserve(int tokens);
  // Publishes the blocks that are full with `tokens`, the sequence's computed tokens from its
  // start.
  void publish(std::span<const Token> tokens);
  // Gives everything back. The last blocks first, so that a prefix outlives its continuations.
  void clear();

  std::span<const BlockId> blocks() const { return blocks_; }
  int slot(int position) const {
    return blocks_[position / pool_->block_tokens()] * pool_->block_tokens() +
           position % pool_->block_tokens();
  }

 private:
  BlockPool* pool_;
  std::vector<BlockId> blocks_;
  std::vector<BlockSerial> serials_;  // of the blocks that are published, from the first on
};

}  // namespace tessera
