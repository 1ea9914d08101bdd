#include "serve/http/places.h"

#include <algorithm>

namespace tessera::serve {
namespace {

constexpr int64_t kTimesTheRest = 3;

}  // namespace

Places::Place Places::enter(const std::string& client) {
  const std::lock_guard lock(mutex_);
  const int64_t share = std::min<int64_t>(most_each_, kTimesTheRest * (most_ - taken_));
  const auto held = held_.find(client);
  if ((held == held_.end() ? 0 : held->second) >= share) return {};
  ++held_[client];
  ++taken_;
  return {*this, client};
}

void Places::leave(const std::string& client) {
  const std::lock_guard lock(mutex_);
  const auto held = held_.find(client);
  if (--held->second == 0) held_.erase(held);
  --taken_;
}

}  // namespace tessera::serve
