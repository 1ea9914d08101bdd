#include "serve/http/gate.h"

#include <chrono>
#include <limits>

#include "serve/http/api_error.h"

namespace tessera::serve {
namespace {

constexpr std::chrono::milliseconds kGoneGlance{
    100};  // how late it may be seen that a client is gone

}  // namespace

Gate::Pass Gate::enter(const std::string& client, const std::function<bool()>& is_gone) {
  std::unique_lock lock(mutex_);
  // One that comes anew is not before those who wait already: many such would let nobody else in.
  ++clients_.try_emplace(client, Client{.last_turn = turns_}).first->second.waiting;
  const auto guest = waiting_.insert(waiting_.end(), client);
  bool gone = false;
  while (!is_next(guest) && !gone) {
    changed_.wait_for(lock, kGoneGlance);
    lock.unlock();
    gone = is_gone();
    lock.lock();
  }
  waiting_.erase(guest);
  Client& state = clients_[client];
  --state.waiting;
  changed_.notify_all();
  if (gone) {
    forget(client);
    throw client_is_gone();
  }
  ++state.within;
  ++within_;
  state.last_turn = ++turns_;
  return {*this, client};
}

bool Gate::is_next(Waiting::const_iterator guest) const {
  if (within_ >= most_) return false;
  auto next = waiting_.end();
  uint64_t least = std::numeric_limits<uint64_t>::max();
  for (auto other = waiting_.begin(); other != waiting_.end(); ++other) {
    const Client& client = clients_.at(*other);
    const bool may_enter = most_ == 1 || client.within < most_ - 1;
    if (may_enter && client.last_turn < least) {
      least = client.last_turn;
      next = other;
    }
  }
  return next == guest;
}

void Gate::forget(const std::string& client) {
  const auto found = clients_.find(client);
  if (found->second.within == 0 && found->second.waiting == 0) clients_.erase(found);
}

void Gate::leave(const std::string& client) {
  const std::lock_guard lock(mutex_);
  --clients_.at(client).within;
  --within_;
  forget(client);
  changed_.notify_all();
}

}  // namespace tessera::serve
