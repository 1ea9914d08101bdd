// Filters that give numbers, and the methods of numbers.
#include <algorithm>
#include <bit>
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

// "13.2 kB": a size in bytes as people read it.
Value filesizeformat(const Call& call) {
  const bool binary = call.bind({"binary"}).truth(0, false);
  auto bytes = call.self.defined().number();
  if (call.self.string()) bytes = parse_float(*call.self.string());
  if (!bytes) fail("filesizeformat needs a number, not {}", call.self.type_name());
  // Exact up to the largest unit, so that a size just below one stays below it.
  const long double base = binary ? 1024 : 1000;
  if (*bytes == 1) return "1 Byte";
  if (*bytes < base) return fmt::format("{} Bytes", truncate_to_integer(*bytes));
  constexpr std::string_view kPrefixes = "kMGTPEZY";
  long double next_unit = base * base;
  size_t prefix = 0;
  while (prefix + 1 < kPrefixes.size() && !(*bytes < next_unit)) {
    next_unit *= base;
    ++prefix;
  }
  const double amount = static_cast<double>(base) * *bytes / static_cast<double>(next_unit);
  const char letter = binary && prefix == 0 ? 'K' : kPrefixes[prefix];
  return fmt::format("{:.1f} {}{}", amount, letter, binary ? "iB" : "B");
}

Value is_integer(const Call& call) {
  call.no_arguments();
  const double value = *call.self.number();
  return std::isfinite(value) && std::floor(value) == value;
}

Value bit_length(const Call& call) {
  call.no_arguments();
  const auto value = call.self.integer();
  if (!value) fail("'float' object has no method bit_length()");
  return std::bit_width(*value < 0 ? -static_cast<uint64_t>(*value)
                                   : static_cast<uint64_t>(*value));
}

}  // namespace

const BuiltinTable& number_filters() {
  static const BuiltinTable table = {
      {"abs", absolute},   {"filesizeformat", filesizeformat},
      {"float", to_float}, {"int", to_integer},
      {"round", round},
  };
  return table;
}

const BuiltinTable& number_methods() {
  static const BuiltinTable table = {
      {"bit_length", bit_length},
      {"is_integer", is_integer},
  };
  return table;
}

}  // namespace tessera::jinja
