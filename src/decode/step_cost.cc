#include "decode/step_cost.h"

#include <algorithm>
#include <cmath>

namespace tessera {
namespace {

constexpr std::array kRows = {1,  2,  3,  4,   6,   8,   12,  16,  24,  32,
                              48, 64, 96, 128, 192, 256, 384, 512, 768, 1024};
constexpr double kMostWeight = 12;    // more than so many steps of late do not count
constexpr double kForgotten = 0.002;  // of a knot's weight, with each step elsewhere
constexpr double kLineWeight = 3;     // the line counts as so many steps everywhere
// A machine that turns slower turns slower for all numbers of rows: by so much of what one knot
// tells, the others move along.
constexpr double kShareOfOthers = 0.5;
// That a knot has to know so many steps for: before, its average moves as it becomes known.
constexpr double kLeastKnown = 6;
// Beyond, a step's time is not that of reading the weights any more.
constexpr int kMostRowsOnLine = 64;

// The position of `rows` between two knots, as the lower one and the way to the next.
struct Between {
  size_t lower;
  double way;
};

Between find(int rows) {
  const auto above = std::ranges::upper_bound(kRows, rows);
  if (above == kRows.begin()) return {0, 0};
  const auto lower = std::min(static_cast<size_t>(above - kRows.begin()) - 1, kRows.size() - 2);
  return {lower, static_cast<double>(rows - kRows[lower]) / (kRows[lower + 1] - kRows[lower])};
}

}  // namespace

size_t StepCost::nearest(int rows) {
  const Between place = find(rows);
  return std::min(place.lower + (place.way >= 0.5 ? 1 : 0), kKnots - 1);
}

double StepCost::seconds(int rows) const {
  const auto [lower, way] = find(rows);
  return knots_[lower].seconds + way * (knots_[lower + 1].seconds - knots_[lower].seconds);
}

void StepCost::observe(int rows, double seconds) {
  Knot& knot = knots_[nearest(rows)];
  if (const double expected = this->seconds(rows); expected > 0) {
    seconds = std::clamp(seconds, expected / kMostAway, expected * kMostAway);
    seconds *= knot.seconds / expected;  // with as many rows as the knot has
  }
  for (Knot& other : knots_) other.weight *= 1 - kForgotten;
  const double before = knot.average, known = knot.weight;
  knot.weight = std::min(knot.weight, kMostWeight - 1) + 1;
  knot.average += (seconds - knot.average) / knot.weight;
  if (known >= kLeastKnown) {
    const double drift = std::pow(knot.average / before, kShareOfOthers);
    for (Knot& other : knots_) {
      if (&other != &knot) other.average *= drift;
    }
  }
  fit();
}

void StepCost::fit() {
  static_assert(kRows.size() == kKnots);
  const auto first = std::ranges::find_if(knots_, [](const Knot& k) { return k.weight > 0; });
  const double first_rows = kRows[static_cast<size_t>(first - knots_.begin())];
  const double one = first->average / (1 + slope_ * (first_rows - 1));
  // Least squares through a step of one row, with one step of eight rows of the usual slope.
  double across = 49 * kUsualSlope, squares = 49;
  for (size_t i = 0; i < kKnots; ++i) {
    const double more = kRows[i] - 1;
    if (knots_[i].weight == 0 || kRows[i] > kMostRowsOnLine) continue;
    across += knots_[i].weight * more * (knots_[i].average / one - 1);
    squares += knots_[i].weight * more * more;
  }
  slope_ = std::max(0.001, across / squares);
  double least = 0;
  for (size_t i = 0; i < kKnots; ++i) {
    Knot& knot = knots_[i];
    const double line = one * (1 + slope_ * (kRows[i] - 1));
    const double fitted =
        (kLineWeight * line + knot.weight * knot.average) / (kLineWeight + knot.weight);
    knot.seconds = least = std::max(least, fitted);
  }
}

}  // namespace tessera
