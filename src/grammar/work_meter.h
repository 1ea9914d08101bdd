// What a walk of many steps along an automaton may cost.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_set>

#include "grammar/automaton.h"

namespace tessera::grammar {

// Takes steps and adds up what the costly ones among them take, each once. The sum depends on the
// walk alone, not on what the automaton knew before: so what is cut short where it grows too large
// is the same every time.
class WorkMeter {
 public:
  // A million is some thirty milliseconds and a dozen megabytes.
  WorkMeter(Automaton& automaton, size_t limit) : automaton_(automaton), limit_(limit) {}

  StackSet next(StackSet state, uint8_t byte_class) {
    const StackSet reached = automaton_.step(state, byte_class);
    if (reached & Automaton::kCostly) charge(state, byte_class);
    return reached & ~Automaton::kCostly;
  }
  // From here on only what must be looked at; and not even that.
  bool exhausted() const { return spent_ > limit_; }
  bool hopeless() const { return spent_ > limit_ + kRest; }
  size_t spent() const { return spent_; }

 private:
  static constexpr size_t kRest = 500'000;

  void charge(StackSet state, uint8_t byte_class) {
    if (charged_.insert(static_cast<uint64_t>(state) << 8 | byte_class).second)
      spent_ += automaton_.cost(state, byte_class);
  }

  Automaton& automaton_;
  const size_t limit_;
  std::unordered_set<uint64_t> charged_;  // steps
  size_t spent_ = 0;
};

}  // namespace tessera::grammar
