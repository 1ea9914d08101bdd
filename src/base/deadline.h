// Until when work may go on that can be put off.
#pragma once

#include <chrono>
#include <optional>

namespace tessera {

class Deadline {
 public:
  using Clock = std::chrono::steady_clock;

  Deadline() = default;  // none: the work is done, however long it takes
  explicit Deadline(Clock::time_point time) : time_(time) {}
  static Deadline in(Clock::duration duration) { return Deadline(Clock::now() + duration); }

  bool exists() const { return time_.has_value(); }
  bool is_over() const { return time_ && Clock::now() >= *time_; }
  Clock::duration left() const { return time_ ? *time_ - Clock::now() : Clock::duration::max(); }

 private:
  std::optional<Clock::time_point> time_;
};

}  // namespace tessera
