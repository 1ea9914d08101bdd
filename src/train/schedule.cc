#include "train/schedule.h"

#include <cmath>
#include <numbers>

#include "base/error.h"
#include "base/printable.h"

namespace tessera::train {

Decline parse_decline(std::string_view name) {
  if (name == "none") return Decline::kNone;
  if (name == "linear") return Decline::kLinear;
  if (name == "cosine") return Decline::kCosine;
  fail("schedule '{}' is not known, expected none, linear or cosine", printable(name));
}

double Schedule::rate_at(int step) const {
  if (step < warmup) return rate * (step + 1) / (warmup + 1);
  if (decline == Decline::kNone || steps <= warmup) return rate;
  const double done = static_cast<double>(step - warmup) / (steps - warmup);
  if (decline == Decline::kLinear) return rate * (1 - done);
  return rate * 0.5 * (1 + std::cos(std::numbers::pi * done));
}

}  // namespace tessera::train
