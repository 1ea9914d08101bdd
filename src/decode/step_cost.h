// How long a step takes by its number of rows, learned from the steps that ran: what a drafted
// token costs, and how many rows weigh as much as reading the weights.
#pragma once

#include <array>
#include <cstddef>

namespace tessera {

// A curve through a few row counts, each of which follows the times of late. Between them it is
// linear, beyond and before anything was seen it has the usual shape. Never falls with more rows.
class StepCost {
 public:
  // So many times above or below what is known, a time is a disturbance, and counts as this far.
  static constexpr double kMostAway = 2;

  // A step of `rows` rows (at least 1) took so long.
  void observe(int rows, double seconds);
  // Of a step of `rows` rows; 0 as long as no step was observed.
  double seconds(int rows) const;
  // Steps that were observed with about so many rows.
  int observations(int rows) const;

 private:
  struct Knot {
    int rows;
    double usual;        // over that of one row, where nothing is known
    double seconds = 0;  // of late
    int observations = 0;
  };
  static constexpr size_t kKnots = 20;
  using Knots = std::array<Knot, kKnots>;

  static size_t nearest(int rows);
  double at(size_t knot) const;

  Knots knots_ = usual_shape();
  static Knots usual_shape();
};

// A step before anything is drafted.
struct StepPlan {
  const StepCost& cost;
  int rows = 0;     // of prompts and answers
  int answers = 0;  // of these, a row each
};

}  // namespace tessera
