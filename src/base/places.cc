#include "base/places.h"

#include <algorithm>

namespace tessera {
namespace {

constexpr int64_t kTimesTheRest = 3;

}  // namespace

Places::Place Places::enter(const std::string& client, int64_t count) {
  const std::lock_guard lock(mutex_);
  const int64_t free = most_ - taken_;
  if (count > free) return {};
  // The last of them counts as free while it is taken, lest the only place be nobody's.
  const int64_t share = std::min(most_each_, kTimesTheRest * (free - count + 1));
  const auto known = held_.find(client);
  if ((known == held_.end() ? 0 : known->second) + count > share) return {};
  held_[client] += count;
  taken_ += count;
  return {*this, client, count};
}

void Places::leave(const std::string& client, int64_t count) {
  const std::lock_guard lock(mutex_);
  const auto held = held_.find(client);
  held->second -= count;
  if (held->second == 0) held_.erase(held);
  taken_ -= count;
}

}  // namespace tessera
