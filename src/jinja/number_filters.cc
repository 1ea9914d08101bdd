// Filters that give numbers.
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "jinja/builtins.h"
#include "jinja/operators.h"
#include "jinja/text_operations.h"

namespace tessera::jinja {
namespace {

Value absolute(const Call& call) {
  call.no_arguments();
  if (const auto integer = call.self.defined().integer())
    return *integer < 0 ? negate(*integer) : *integer;
  if (const auto number = call.self.number()) return std::abs(*number);
  fail("bad operand type for abs: '{}'", call.self.type_name());
}

// What is no number gives the default, but a float in a text counts: "42.9" gives 42.
Value to_integer(const Call& call) {
  const Bound bound = call.bind({"default", "base"});
  const Value otherwise = bound.get(0, 0);
  const int64_t radix = bound.integer(1, 10);
  if (radix != 0 && (radix < 2 || radix > 36)) return otherwise;
  if (const auto integer = call.self.defined().integer()) return *integer;
  std::optional<double> number = call.self.number();
  if (const std::string* text = call.self.string()) {
    if (const auto integer = parse_integer(*text, static_cast<int>(radix))) return *integer;
    number = parse_float(*text);
  }
  if (!number || !std::isfinite(*number)) return otherwise;
  return truncate_to_integer(*number);
}

Value to_float(const Call& call) {
  const Bound bound = call.bind({"default"});
  if (const auto number = call.self.defined().number()) return *number;
  if (const std::string* text = call.self.string()) {
    if (const auto number = parse_float(*text)) return *number;
  }
  return bound.get(0, 0.0);
}

// Correct to the last bit, ties to even, as Python's round(): printf rounds the exact value.
double round_decimal(double value, int digits) {
  if (digits > 300 || !std::isfinite(value)) return value;
  if (digits >= 0) return std::strtod(fmt::format("{:.{}f}", value, digits).c_str(), nullptr);
  const double unit = std::pow(10.0, -digits);
  return std::isinf(unit) ? std::copysign(0.0, value) : std::nearbyint(value / unit) * unit;
}

int64_t round_integer(int64_t value, int digits) {
  if (digits >= 0) return value;
  if (digits < -18) return 0;
  int64_t unit = 1;
  for (int i = 0; i < -digits; ++i) unit *= 10;
  const int64_t rest = value % unit;
  const int64_t below = value - rest;
  const uint64_t doubled = 2 * static_cast<uint64_t>(std::abs(rest));
  const bool away = doubled > static_cast<uint64_t>(unit) ||
                    (doubled == static_cast<uint64_t>(unit) && (below / unit) % 2 != 0);
  int64_t result = below;
  if (away && __builtin_add_overflow(below, rest < 0 ? -unit : unit, &result)) {
    fail("the result of round does not fit 64 bits");
  }
  return result;
}

Value round(const Call& call) {
  const Bound bound = call.bind({"precision", "method"});
  const int precision = static_cast<int>(std::clamp<int64_t>(bound.integer(0, 0), -400, 400));
  const std::string method = bound.text(1, "common");
  const auto number = call.self.defined().number();
  if (!number) fail("round needs a number, not {}", call.self.type_name());
  if (method == "common") {
    if (const auto integer = call.self.integer()) return round_integer(*integer, precision);
    return round_decimal(*number, precision);
  }
  if (method != "ceil" && method != "floor") fail("round: the method is common, ceil or floor");
  const double scale = std::pow(10.0, precision);
  const double scaled = *number * scale;
  if (!std::isfinite(scaled)) fail("round: the number is out of range");
  const double whole = method == "ceil" ? std::ceil(scaled) : std::floor(scaled);
  // Python's ceil() gives an integer, which has no negative zero.
  return (whole == 0 ? 0.0 : whole) / scale;
}

}  // namespace

const BuiltinTable& number_filters() {
  static const BuiltinTable table = {
      {"abs", absolute},
      {"float", to_float},
      {"int", to_integer},
      {"round", round},
  };
  return table;
}

}  // namespace tessera::jinja
