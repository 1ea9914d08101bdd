#include "cache/block_table.h"

namespace tessera {

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
  return published_tokens();
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
  while ((serials_.size() + 1) * size <= tokens.size()) {
    const size_t i = serials_.size();
    serials_.push_back(
        pool_->publish(blocks_[i], published_serial(), tokens.subspan(i * size, size)));
  }
}

void BlockTable::clear() {
  while (!blocks_.empty()) {
    pool_->release(blocks_.back());
    blocks_.pop_back();
  }
  serials_.clear();
}

}  // namespace tessera
