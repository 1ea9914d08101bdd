#include "decode/step_cost.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace tessera {
namespace {

constexpr std::array kRows = {1,  2,  3,  4,  6,   8,   12,  16,  24,  32,
                              48, 64, 96, 128, 192, 256, 384, 512, 768, 1024};
// Of an observation, in a knot's average, once the knot has seen enough for it.
constexpr double kShare = 0.1;
// A machine that turns slower turns slower for all numbers of rows: by so much of what one knot
// tells, the others move along.
constexpr double kShareOfOthers = 0.03;

// The position of `rows` between two knots, as the lower one and the way to the next.
struct Between {
  size_t lower;
  double way;
};

Between find(int rows) {
  const auto above = std::ranges::upper_bound(kRows, rows);
  if (above == kRows.begin()) return {0, 0};
  const auto lower =
      std::min(static_cast<size_t>(above - kRows.begin()) - 1, kRows.size() - 2);
  return {lower, static_cast<double>(rows - kRows[lower]) / (kRows[lower + 1] - kRows[lower])};
}

}  // namespace

StepCost::Knots StepCost::usual_shape() {
  static_assert(kRows.size() == kKnots);
  Knots knots;
  for (size_t i = 0; i < kKnots; ++i) knots[i] = {kRows[i], 0.93 + 0.07 * kRows[i]};
  return knots;
}

size_t StepCost::nearest(int rows) {
  const Between place = find(rows);
  return std::min(place.lower + (place.way >= 0.5 ? 1 : 0), kKnots - 1);
}

// Of a knot that was not seen: from the nearest that was, by the usual shape.
double StepCost::at(size_t knot) const {
  if (knots_[knot].observations > 0) return knots_[knot].seconds;
  for (size_t distance = 1; distance < kKnots; ++distance) {
    for (const size_t other : {knot - distance, knot + distance}) {
      if (other >= kKnots || knots_[other].observations == 0) continue;
      return knots_[other].seconds * knots_[knot].usual / knots_[other].usual;
    }
  }
  return 0;
}

double StepCost::seconds(int rows) const {
  const auto [lower, way] = find(rows);
  double least = 0;
  for (size_t i = 0; i <= lower; ++i) least = std::max(least, at(i));
  return least + way * (std::max(least, at(lower + 1)) - least);
}

int StepCost::observations(int rows) const {
  return knots_[nearest(rows)].observations;
}

void StepCost::observe(int rows, double seconds) {
  Knot& knot = knots_[nearest(rows)];
  if (knot.observations > 0) {
    // What it would have been with as many rows as the knot has.
    const double expected = this->seconds(rows);
    if (expected > 0) seconds *= this->seconds(knot.rows) / expected;
    seconds = std::clamp(seconds, knot.seconds / kMostAway, knot.seconds * kMostAway);
  } else {
    knot.seconds = seconds;
  }
  const double before = knot.seconds;
  ++knot.observations;
  knot.seconds += (seconds - knot.seconds) * std::max(kShare, 1.0 / knot.observations);
  const double drift = std::pow(knot.seconds / before, kShareOfOthers);
  for (Knot& other : knots_) {
    if (&other != &knot) other.seconds *= drift;
  }
}

}  // namespace tessera
