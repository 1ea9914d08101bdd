// The blocks that hold keys and values, who uses them, and which prefix each full one holds.
//
// A block is kBlockTokens slots. It is *used* while its reference count is above zero; when that
// drops to zero a block whose contents were published stays findable until its memory is needed,
// the least recently used first (PagedAttention, Kwon et al. 2023; automatic prefix caching).
#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/token.h"

namespace tessera {

using BlockId = int32_t;
using StateId = int32_t;  // of recurrent layers: what they keep of a whole text

// Names the contents of one published block, never reused: so (serial of the parent, own tokens)
// names a prefix exactly, and two prefixes can never share a block by a hash collision.
using BlockSerial = uint64_t;
inline constexpr BlockSerial kRootSerial = 0;  // the empty prefix

class BlockPool {
 public:
  BlockPool(int blocks, int block_tokens, int states = 0);

  int capacity() const { return static_cast<int>(blocks_.size()); }
  int block_tokens() const { return block_tokens_; }
  // Blocks that allocate() can still give, cached ones included.
  int available() const { return static_cast<int>(free_.size() + cached_.size()); }

  // A block with a reference count of one; nullopt if all are used. May forget the least recently
  // used cached prefix.
  std::optional<BlockId> allocate();
  void retain(BlockId block);
  void release(BlockId block);
  int references(BlockId block) const { return blocks_[block].references; }
  bool is_published(BlockId block) const { return blocks_[block].serial != 0; }

  // The parent of first blocks: kRootSerial without a salt, else a serial of the salt's own, so
  // that those who do not know it neither find its blocks nor can tell by the time a prompt takes
  // what is there. `variant`: what makes other keys and values of the same tokens; each has a
  // serial of its own for every salt. Those used least recently are forgotten beyond kMaxSalts.
  BlockSerial root(std::string_view salt, std::string_view variant = {});
  static constexpr size_t kMaxSalts = 4096;

  // The block that holds exactly `tokens` (block_tokens of them) after the prefix `parent`,
  // retained; nullopt if none.
  struct Found {
    BlockId block;
    BlockSerial serial;
  };
  std::optional<Found> find(BlockSerial parent, std::span<const Token> tokens);
  // Declares that the used `block` now holds `tokens` after `parent`. If another block holds the
  // same prefix already, that one stays the one to be found.
  BlockSerial publish(BlockId block, BlockSerial parent, std::span<const Token> tokens);

  // --- states of recurrent layers, which somebody holds or published blocks do: whoever finds such
  // a block can go on behind it
  bool has_states() const { return !states_.empty(); }
  int states() const { return static_cast<int>(states_.size()); }
  // Those that allocate_state() can still give.
  int available_states() const;
  // One with a reference count of one; nullopt if all are held. May take the state of the block
  // that was least recently asked for its own.
  std::optional<StateId> allocate_state();
  void retain_state(StateId state);
  void release_state(StateId state);
  // The state behind the last token of a published block, retained if it has one.
  std::optional<StateId> find_state(BlockId block);
  // Unless it has one.
  void attach_state(BlockId block, StateId state);
  // If it is still this one.
  void detach_state(BlockId block, StateId state);

 private:
  struct Block {
    int references = 0;
    BlockSerial serial = 0;  // 0: not published
    BlockSerial parent = 0;
    std::vector<Token> tokens;
    std::list<BlockId>::iterator cached;  // its place in cached_, while published and unused
    std::optional<StateId> state;
    std::list<BlockId>::iterator stated;  // its place in with_state_, if it has one
  };
  using Index = std::unordered_multimap<uint64_t, BlockId>;

  uint64_t hash(BlockSerial parent, std::span<const Token> tokens) const;
  Index::iterator find_entry(BlockSerial parent, std::span<const Token> tokens);
  void forget(BlockId block);

  int block_tokens_;
  std::vector<Block> blocks_;
  std::vector<BlockId> free_;
  std::list<BlockId> cached_;  // published and unused, least recently used first
  std::vector<int> states_;    // references to each
  std::vector<StateId> free_states_;
  std::list<BlockId> with_state_;  // least recently asked first
  Index index_;                    // hash of (parent, tokens) -> published block
  BlockSerial next_serial_ = kRootSerial + 1;

  struct Salt {
    BlockSerial root;
    uint64_t used;  // the larger, the more recently
  };
  std::unordered_map<std::string, Salt> salts_;  // by variant and salt
  uint64_t salt_uses_ = 0;
};

}  // namespace tessera
