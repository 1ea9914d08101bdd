#include "serve/http/gate.h"

#include <chrono>

#include "serve/http/api_error.h"

namespace tessera::serve {
namespace {

constexpr std::chrono::milliseconds kGlance{100};  // how late it may be seen that a client is gone

}  // namespace

Gate::Pass Gate::enter(const std::string& client, const std::function<bool()>& is_gone) {
  std::unique_lock lock(mutex_);
  ++clients_[client].waiting;
  const auto guest = waiting_.insert(waiting_.end(), client);
  bool gone = false;
  while (!is_next(guest) && !gone) {
    changed_.wait_for(lock, kGlance);
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
  const auto may_enter = [&](const std::string& client) {
    return most_ == 1 || clients_.at(client).within < most_ - 1;
  };
  if (!may_enter(*guest)) return false;
  const uint64_t turn = clients_.at(*guest).last_turn;
  bool came_later = false;
  for (auto other = waiting_.begin(); other != waiting_.end(); ++other) {
    if (other == guest) {
      came_later = true;
      continue;
    }
    const uint64_t its_turn = clients_.at(*other).last_turn;
    const bool goes_first = came_later ? its_turn < turn : its_turn <= turn;
    if (goes_first && may_enter(*other)) return false;
  }
  return true;
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
