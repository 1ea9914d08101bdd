// The blocks of one sequence, in logical order.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "cache/block_pool.h"
#include "cache/state_table.h"

namespace tessera {

class BlockTable {
 public:
  // `root`: of the sequence's salt, BlockPool::root().
  explicit BlockTable(BlockPool& pool, BlockSerial root = kRootSerial)
      : states(pool), pool_(&pool), root_(root) {}
  ~BlockTable() { clear(); }
  BlockTable(BlockTable&& other) noexcept;
  BlockTable& operator=(BlockTable&& other) noexcept;
  BlockTable(const BlockTable&) = delete;
  BlockTable& operator=(const BlockTable&) = delete;

  // A table that shares the blocks of the first `tokens` tokens, of which the last may be partly
  // filled: see own(). Where there are recurrent layers, their state there is shared, too, if it is
  // held: see can_fork().
  BlockTable fork(int tokens) const;
  bool can_fork(int tokens) const {
    return tokens == 0 || !states.in_use() || states.at(tokens).has_value();
  }

  // Goes on from the published blocks with as many others' blocks as hold what follows in `tokens`
  // and leave at least one token to compute (its logits are wanted), where there are recurrent
  // layers up to a block that has their state. Blocks that are not published
  // yet are given back: nothing in them may be in use. Returns how many tokens are covered in all.
  int adopt_prefix(std::span<const Token> tokens);
  // Makes slots for logical positions below `tokens`. False if the pool ran out; what was
  // reserved so far stays.
  bool reserve(int tokens);
  // Copy-on-write: slots from `position` on are about to be written. If the block that holds it is
  // shared or published, another takes its place, and what it holds before `position` has to be
  // copied. False if the pool ran out; then nothing has changed.
  struct Copy {
    BlockId from, to;
  };
  bool own(int position, std::optional<Copy>& copy);
  // Publishes the blocks that are full with `tokens`, the sequence's computed tokens from its
  // start; of recurrent layers their states become those behind `tokens`.
  void publish(std::span<const Token> tokens);
  // Gives everything back. The last blocks first, so that a prefix outlives its continuations.
  void clear();

  StateTable states;  // of recurrent layers

  std::span<const BlockId> blocks() const { return blocks_; }
  // Leading tokens in published blocks, and what names them.
  int published_tokens() const { return static_cast<int>(serials_.size()) * pool_->block_tokens(); }
  BlockSerial published_serial() const { return serials_.empty() ? root_ : serials_.back(); }
  int slot(int position) const {
    return blocks_[position / pool_->block_tokens()] * pool_->block_tokens() +
           position % pool_->block_tokens();
  }

 private:
  void adopt_state();
  void publish_state(BlockSerial parent, std::span<const Token> tokens);

  BlockPool* pool_;
  BlockSerial root_;
  std::vector<BlockId> blocks_;
  std::vector<BlockSerial> serials_;  // of the blocks that are published, from the first on
};

}  // namespace tessera
