#pragma once

#include "base/simd/target.h"

namespace tessera {

// Runs `body` on every instruction set of this machine, but for the last resort without vectors
// (where there is a better one), which is slow.
template <typename F>
void on_all_targets(F body) {
  auto targets = available_targets();
  if (targets.size() > 1) targets.pop_back();
  for (const char* target : targets) {
    cap_target(target);
    body();
  }
  cap_target("");
}

}  // namespace tessera
