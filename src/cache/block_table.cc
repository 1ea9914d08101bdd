#include "cache/block_table.h"

#include <algorithm>
#include <utility>

namespace tessera {

BlockTable::BlockTable(BlockTable&& other) noexcept
    : states(std::move(other.states)),
      pool_(other.pool_),
      root_(other.root_),
      blocks_(std::exchange(other.blocks_, {})),
      serials_(std::exchange(other.serials_, {})) {}

BlockTable& BlockTable::operator=(BlockTable&& other) noexcept {
  std::swap(states, other.states);
  std::swap(pool_, other.pool_);
  std::swap(root_, other.root_);
  std::swap(blocks_, other.blocks_);
  std::swap(serials_, other.serials_);
  return *this;
}

BlockTable BlockTable::fork(int tokens) const {
  BlockTable result(*pool_, root_);
  const size_t size = pool_->block_tokens(), count = (tokens + size - 1) / size;
  result.blocks_.assign(blocks_.begin(), blocks_.begin() + static_cast<ptrdiff_t>(count));
  const size_t full = std::min(serials_.size(), tokens / size);
  result.serials_.assign(serials_.begin(), serials_.begin() + static_cast<ptrdiff_t>(full));
  for (const BlockId block : result.blocks_) pool_->retain(block);
  result.states = states.fork(tokens);
  return result;
}

bool BlockTable::own(int position, std::optional<Copy>& copy) {
  const auto i = static_cast<size_t>(position / pool_->block_tokens());
  if (i >= blocks_.size()) return true;
  if (pool_->references(blocks_[i]) == 1 && !pool_->is_published(blocks_[i])) return true;
  const auto block = pool_->allocate();
  if (!block) return false;
  if (position % pool_->block_tokens() > 0) copy = {blocks_[i], *block};
  pool_->release(blocks_[i]);
  blocks_[i] = *block;
  return true;
}

int BlockTable::adopt_prefix(std::span<const Token> tokens) {
  const size_t size = pool_->block_tokens();
  while (blocks_.size() > serials_.size()) {
    pool_->release(blocks_.back());
    blocks_.pop_back();
  }
  for (size_t start = blocks_.size() * size; start + size < tokens.size(); start += size) {
    const auto found = pool_->find(published_serial(), tokens.subspan(start, size));
    if (!found) break;
    blocks_.push_back(found->block);
    serials_.push_back(found->serial);
  }
  if (states.in_use()) adopt_state();
  return published_tokens();
}

// With the block that others will find, which need not be ours.
void BlockTable::publish_state(BlockSerial parent, std::span<const Token> tokens) {
  const auto found = pool_->find(parent, tokens);
  states.publish(found->block, published_tokens());
  pool_->release(found->block);
}

// Goes back to the last block that has a state, or that ours is behind.
void BlockTable::adopt_state() {
  while (!blocks_.empty() && !states.at(published_tokens())) {
    if (const auto state = pool_->find_state(blocks_.back()))
      return states.adopt(*state, published_tokens());
    pool_->release(blocks_.back());
    blocks_.pop_back();
    serials_.pop_back();
  }
  if (blocks_.empty()) states.clear();
}

bool BlockTable::reserve(int tokens) {
  while (static_cast<int>(blocks_.size()) * pool_->block_tokens() < tokens) {
    const auto block = pool_->allocate();
    if (!block) return false;
    blocks_.push_back(*block);
  }
  return true;
}

void BlockTable::publish(std::span<const Token> tokens) {
  const size_t size = pool_->block_tokens();
  states.advance(static_cast<int>(tokens.size()));
  while ((serials_.size() + 1) * size <= tokens.size()) {
    const size_t i = serials_.size();
    const BlockSerial parent = published_serial();
    const std::span<const Token> own = tokens.subspan(i * size, size);
    serials_.push_back(pool_->publish(blocks_[i], parent, own));
    if (states.in_use()) publish_state(parent, own);
  }
  states.drop_published();
}

void BlockTable::clear() {
  while (!blocks_.empty()) {
    pool_->release(blocks_.back());
    blocks_.pop_back();
  }
  serials_.clear();
  states.clear();
}

}  // namespace tessera
