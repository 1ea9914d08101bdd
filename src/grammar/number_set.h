// Sets of numbers, as JSON schemas describe them, and the texts of their numbers.
#pragma once

#include <compare>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "grammar/language.h"

namespace tessera::grammar {

// A number as it is written in full: -12.5 is negative, "12" and "5". Zero is "0" and "".
struct Decimal {
  bool negative = false;
  std::string whole = "0", fraction = {};  // without zeros in front and behind

  bool is_whole() const { return fraction.empty(); }
  std::string text() const;
  bool operator==(const Decimal&) const = default;
  std::strong_ordering operator<=>(const Decimal& other) const;
};
// `number` is a JSON number; of one that is no integer, the shortest decimal that reads as it.
Decimal decimal_of(const nlohmann::ordered_json& number);

struct NumberSet {
  struct Bound {
    Decimal value;
    bool excluded = false;
  };
  std::optional<Bound> min = {}, max = {};
  bool whole = false, broken = false;                            // only whole numbers; none of them
  std::vector<Decimal> multiples_of = {}, no_multiples_of = {};  // positive ones
  std::optional<std::vector<Decimal>> among = {};                // ascending
  std::vector<Decimal> without = {};                             // ascending

  bool is_all() const;
  void limit_min(const Bound& bound);
  void limit_max(const Bound& bound);
};
NumberSet meet(NumberSet a, const NumberSet& b);

// How the numbers of `set` are written: those it is among in full, or as the shortest text with an
// exponent; others with at most 16 digits before the point (19 where a bound has so many, one more
// than has the bound that is nearer to zero), none after it if only whole ones are allowed, else at
// most 16. Multiples of many units have fewer digits where else there were too many states. A text
// that might be read as a double beyond a bound is not in it. Throws Error for a multiple that
// takes too many states.
Language number_language(const NumberSet& set);

}  // namespace tessera::grammar
