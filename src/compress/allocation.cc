#include "compress/allocation.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "base/error.h"

namespace tessera {
namespace {

using Choices = std::vector<FormatChoice>;

uint64_t smallest_bytes(const Choices& choices) {
  return std::ranges::min_element(choices, {}, &FormatChoice::bytes)->bytes;
}

// What all differences of bytes are multiples of: tensors have many rows of whole blocks.
uint64_t common_unit(std::span<const Choices> tensors) {
  uint64_t unit = 0;
  for (const Choices& choices : tensors) {
    for (const FormatChoice& choice : choices)
      unit = std::gcd(unit, choice.bytes - smallest_bytes(choices));
  }
  return std::max<uint64_t>(1, unit);
}

// The cheapest choices whose bytes beyond the smallest take at most so many steps, each rounded to
// the nearest.
std::vector<size_t> solve_knapsack(std::span<const Choices> tensors, uint64_t step, size_t steps) {
  constexpr double kNever = std::numeric_limits<double>::infinity();
  std::vector<double> best(steps + 1, 0.0), next(steps + 1);
  std::vector<std::vector<uint8_t>> chosen(tensors.size(), std::vector<uint8_t>(steps + 1));
  const auto weight = [&](size_t tensor, size_t choice) {
    const uint64_t more = tensors[tensor][choice].bytes - smallest_bytes(tensors[tensor]);
    return static_cast<size_t>((more + step / 2) / step);
  };
  for (size_t t = 0; t < tensors.size(); ++t) {
    std::ranges::fill(next, kNever);
    for (size_t c = 0; c < tensors[t].size(); ++c) {
      const size_t takes = weight(t, c);
      const double cost = tensors[t][c].cost;
      for (size_t k = takes; k <= steps; ++k) {
        if (!(best[k - takes] + cost < next[k])) continue;
        next[k] = best[k - takes] + cost;
        chosen[t][k] = static_cast<uint8_t>(c);
      }
    }
    best.swap(next);
  }
  std::vector<size_t> result(tensors.size());
  size_t left = steps;
  for (size_t t = tensors.size(); t-- > 0;) {
    result[t] = chosen[t][left];
    left -= weight(t, result[t]);
  }
  return result;
}

uint64_t bytes_taken(std::span<const Choices> tensors, std::span<const size_t> chosen) {
  uint64_t bytes = 0;
  for (size_t t = 0; t < tensors.size(); ++t) bytes += tensors[t][chosen[t]].bytes;
  return bytes;
}

// One tensor after the other gets more, the one first that gains most by the byte.
void fill_up(std::span<const Choices> tensors, uint64_t left, std::vector<size_t>& chosen) {
  for (;;) {
    size_t tensor = tensors.size(), choice = 0;
    double best = 0;
    for (size_t t = 0; t < tensors.size(); ++t) {
      const FormatChoice& now = tensors[t][chosen[t]];
      for (size_t c = 0; c < tensors[t].size(); ++c) {
        const FormatChoice& other = tensors[t][c];
        if (other.bytes < now.bytes || other.bytes - now.bytes > left) continue;
        const auto more = static_cast<double>(std::max<uint64_t>(1, other.bytes - now.bytes));
        const double gain = (now.cost - other.cost) / more;
        if (!(gain > best)) continue;
        best = gain;
        tensor = t;
        choice = c;
      }
    }
    if (tensor == tensors.size()) return;
    left -= tensors[tensor][choice].bytes - tensors[tensor][chosen[tensor]].bytes;
    chosen[tensor] = choice;
  }
}

}  // namespace

std::vector<size_t> allocate(std::span<const Choices> tensors, uint64_t budget) {
  uint64_t least = 0;
  for (const Choices& choices : tensors) least += smallest_bytes(choices);
  if (least > budget) fail("{} bytes are to be had, the smallest formats take {}", budget, least);
  const uint64_t shared = budget - least;
  const uint64_t unit = common_unit(tensors);
  const uint64_t step =
      unit * std::max<uint64_t>(1, (shared / unit + kAllocationSteps - 1) / kAllocationSteps);
  // What rounding lets pass beyond the budget is taken off it before the next try.
  auto steps = static_cast<size_t>(shared / step);
  for (;;) {
    std::vector<size_t> chosen = solve_knapsack(tensors, step, steps);
    const uint64_t bytes = bytes_taken(tensors, chosen);
    if (bytes > budget) {
      const auto over = static_cast<size_t>((bytes - budget + step - 1) / step);
      steps -= std::min(over, steps);
      continue;
    }
    fill_up(tensors, budget - bytes, chosen);
    return chosen;
  }
}

}  // namespace tessera
