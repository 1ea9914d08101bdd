// How fast to learn at which step.
#pragma once

#include <string>
#include <string_view>

namespace tessera::train {

enum class Decline {
  kNone,
  kLinear,
  kCosine,  // (Loshchilov & Hutter 2017)
};

// "none", "linear", "cosine"; Error otherwise.
Decline parse_decline(std::string_view name);

// Rises over `warmup` steps, then declines to zero over the rest.
struct Schedule {
  double rate = 2e-4;
  int steps = 0, warmup = 0;
  Decline decline = Decline::kCosine;

  double rate_at(int step) const;  // of the step number `step`, from 0 on
};

}  // namespace tessera::train
