// What a walk of many steps along an automaton may cost.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_set>

#include "base/deadline.h"
#include "grammar/automaton.h"

namespace tessera::grammar {

// Thrown where a deadline is over. What an automaton has found out until then it keeps.
struct OutOfTime {};

// Takes steps and adds up what the costly ones among them take, each once. The sum depends on the
// walk alone, not on what the automaton knew before: so what is cut short where it grows too large
// is the same every time. The deadline only puts the walk off.
class WorkMeter {
 public:
  // A million is some thirty milliseconds and a dozen megabytes.
  WorkMeter(Automaton& automaton, size_t limit, Deadline deadline = {})
      : automaton_(automaton), limit_(limit), deadline_(deadline) {}

  StackSet next(StackSet state, uint8_t byte_class) {
    if (++steps_ % kStepsOfALook == 0) look_at_the_time();
    const StackSet reached = automaton_.step(state, byte_class);
    if (reached & Automaton::kCostly) charge(state, byte_class);
    return reached & ~Automaton::kCostly;
  }
  // From here on only what must be looked at; and not even that.
  bool exhausted() const { return spent_ > limit_; }
  bool hopeless() const { return spent_ > limit_ + kRest; }
  size_t spent() const { return spent_; }
  Deadline deadline() const { return deadline_; }

 private:
  static constexpr size_t kRest = 500'000;
  static constexpr size_t kStepsOfALook = 256;  // a few microseconds, if they are not costly

  void look_at_the_time() const {
    if (deadline_.is_over()) throw OutOfTime();
  }
  void charge(StackSet state, uint8_t byte_class) {
    if (!charged_.insert(static_cast<uint64_t>(state) << 8 | byte_class).second) return;
    spent_ += automaton_.cost(state, byte_class);
    look_at_the_time();
  }

  Automaton& automaton_;
  const size_t limit_;
  std::unordered_set<uint64_t> charged_;  // steps
  size_t spent_ = 0;
  const Deadline deadline_;
  size_t steps_ = 0;
};

}  // namespace tessera::grammar
