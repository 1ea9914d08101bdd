#include "cache/state_table.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace tessera {
namespace {

// Ends of blocks whose states are kept for other texts even in the middle of one: a state may be as
// large as the keys and values of a thousand tokens.
constexpr int kLasting = 256;

}  // namespace

StateTable::StateTable(StateTable&& other) noexcept
    : pool_(other.pool_),
      tokens_(std::exchange(other.tokens_, 0)),
      before_end_(std::exchange(other.before_end_, -1)),
      plan_(other.plan_),
      planned_(std::exchange(other.planned_, {})),
      held_(std::exchange(other.held_, {})),
      passing_(std::exchange(other.passing_, {})) {}

StateTable& StateTable::operator=(StateTable&& other) noexcept {
  std::swap(pool_, other.pool_);
  std::swap(tokens_, other.tokens_);
  std::swap(before_end_, other.before_end_);
  std::swap(plan_, other.plan_);
  std::swap(planned_, other.planned_);
  std::swap(held_, other.held_);
  std::swap(passing_, other.passing_);
  return *this;
}

std::optional<StateId> StateTable::at(int tokens) const {
  const auto held = std::ranges::find(held_, tokens, &Held::tokens);
  if (held == held_.end()) return std::nullopt;
  return held->state;
}

bool StateTable::take(int tokens, bool required) {
  const auto state = pool_->allocate_state();
  if (state) planned_.push_back({tokens, *state});
  return state.has_value() || !required;
}

// What a step must write is taken first; states for others only as far as there are any.
bool StateTable::plan(const Plan& plan) {
  if (!in_use()) return true;
  for (const Held& planned : planned_) pool_->release_state(planned.state);
  planned_.clear();
  plan_ = plan;
  if (!take(plan.end, true)) return false;
  if (plan.keeps_before_end && plan.end - 1 > plan.first && take(plan.end - 1, false))
    before_end_ = plan.end - 1;
  const int block = pool_->block_tokens();
  if (plan.is_tree) {
    if (plan.end / block > plan.first / block) take(0, false);  // where, path_saves() tells
    return true;
  }
  const int last = (plan.end - 1) / block * block;
  for (int end = (plan.first / block + 1) * block; end < plan.end; end += block) {
    if ((end == last || end % kLasting == 0) && end != before_end_) take(end, false);
  }
  std::ranges::sort(planned_, {}, &Held::tokens);
  return true;
}

std::vector<StateTable::Save> StateTable::chain_saves() const {
  std::vector<Save> saves;
  for (const Held& planned : planned_)
    saves.push_back({planned.tokens - 1 - plan_.first, planned.state});
  return saves;
}

std::vector<StateTable::Save> StateTable::path_saves(int length) {
  if (planned_.empty()) return {};
  const int block = pool_->block_tokens(), end = plan_.first + length;
  planned_.front().tokens = end;
  if (planned_.size() > 1) planned_.back().tokens = (end - 1) / block * block;
  if (planned_.size() > 1 && planned_.back().tokens <= plan_.first) {
    pool_->release_state(planned_.back().state);
    planned_.pop_back();
  }
  std::ranges::sort(planned_, {}, &Held::tokens);
  return chain_saves();
}

bool StateTable::can_advance(int tokens) const {
  return tokens == 0 || !in_use() || at(tokens) ||
         std::ranges::find(planned_, tokens, &Held::tokens) != planned_.end();
}

void StateTable::advance(int tokens) {
  if (!in_use()) return;
  TESSERA_ASSERT(can_advance(tokens));
  tokens_ = tokens;
  for (const Held& planned : std::exchange(planned_, {})) {
    if (planned.tokens <= tokens) {
      held_.push_back(planned);
    } else {
      pool_->release_state(planned.state);
    }
  }
}

void StateTable::publish(BlockId block, int tokens) {
  const auto state = at(tokens);
  if (!state) return;
  pool_->attach_state(block, *state);
  if (plan_.is_prompt || tokens % kLasting == 0) return;
  if (passing_) pool_->detach_state(passing_->block, passing_->state);
  passing_ = {block, *state};
}

void StateTable::drop_published() {
  std::erase_if(held_, [&](const Held& held) {
    const bool drop = held.tokens != tokens_ && held.tokens != before_end_;
    if (drop) pool_->release_state(held.state);
    return drop;
  });
}

void StateTable::adopt(StateId state, int tokens) {
  clear();
  held_.push_back({tokens, state});
  tokens_ = tokens;
}

StateTable StateTable::fork(int tokens) const {
  StateTable result(*pool_);
  if (const auto state = at(tokens)) {
    pool_->retain_state(*state);
    result.adopt(*state, tokens);
  }
  return result;
}

void StateTable::clear() {
  for (const std::vector<Held>* states : {&planned_, &held_})
    for (const Held& held : *states) pool_->release_state(held.state);
  planned_.clear();
  held_.clear();
  passing_.reset();
  tokens_ = 0;
  before_end_ = -1;
}

}  // namespace tessera
