// How long a step takes by its number of rows, learned from the steps that ran: what a drafted
// token costs, and how many rows weigh as much as reading the weights.
#pragma once

#include <array>
#include <cstddef>

namespace tessera {

// A curve through a few numbers of rows. Where few steps were seen, or long ago, it is the straight
// line that fits all of them. Never falls with more rows.
class StepCost {
 public:
  // So many times above or below what is known, a time is a disturbance, and counts as this far.
  static constexpr double kMostAway = 2;

  // A step of `rows` rows (at least 1) took so long.
  void observe(int rows, double seconds);
  // Of a step of `rows` rows; 0 as long as no step was observed.
  double seconds(int rows) const;

 private:
  struct Knot {
    double average = 0;  // seconds, of steps with about so many rows
    double weight = 0;   // steps in it
    double seconds = 0;  // the curve
  };
  static constexpr size_t kKnots = 20;
  static constexpr double kUsualSlope = 0.07;

  static size_t nearest(int rows);
  void fit();

  std::array<Knot, kKnots> knots_ = {};
  double slope_ = kUsualSlope;  // of the line, over a step of one row
};

// A step before anything is drafted.
struct StepPlan {
  const StepCost& cost;
  int rows = 0;     // of prompts and answers
  int answers = 0;  // of these, a row each
};

}  // namespace tessera
