#include "grammar/json_values.h"

#include <algorithm>
#include <limits>
#include <span>

#include <fmt/format.h>

#include "base/error.h"
#include "base/utf8.h"

namespace tessera::grammar {
namespace {

const CharSet kDigit = {{'0', '9'}};
const CharSet kHex = {{'0', '9'}, {'a', 'f'}, {'A', 'F'}};
// What stands for itself within a string.
const CharSet kPlain = CharSet({{0x20, kMaxCodePoint}}).minus({{'"', '"'}, {'\\', '\\'}});
constexpr int kDigits = 16, kLongestDigits = 18;

Expr digits(int min, int max) {
  return repeat(chars(kDigit), min, max);
}

Expr fraction(int most = kDigits) {
  return sequence({literal("."), digits(1, most)});
}

Expr any_magnitude() {
  return choice({literal("0"), sequence({chars({{'1', '9'}}), digits(0, kDigits - 1)})});
}

std::string nines(size_t count) {
  return std::string(count, '9');
}

// The numbers from `low` to `high`, which have equally many digits.
Expr same_length(std::string_view low, std::string_view high) {
  if (low.empty()) return literal("");
  const auto rest = static_cast<int>(low.size()) - 1;
  const bool from_zeros = low.find_first_not_of('0', 1) == std::string_view::npos;
  const bool to_nines = high.find_first_not_of('9', 1) == std::string_view::npos;
  const auto first_digits = [&](char from, char to) {
    return sequence(
        {chars({{static_cast<uint32_t>(from), static_cast<uint32_t>(to)}}), digits(rest, rest)});
  };
  if (from_zeros && to_nines) return first_digits(low[0], high[0]);
  if (low[0] == high[0])
    return sequence({literal(low.substr(0, 1)), same_length(low.substr(1), high.substr(1))});
  std::vector<Expr> parts = {
      sequence({literal(low.substr(0, 1)), same_length(low.substr(1), nines(low.size() - 1))})};
  if (low[0] + 1 < high[0])
    parts.push_back(first_digits(static_cast<char>(low[0] + 1), static_cast<char>(high[0] - 1)));
  parts.push_back(sequence(
      {literal(high.substr(0, 1)), same_length(std::string(low.size() - 1, '0'), high.substr(1))}));
  return choice(std::move(parts));
}

// The whole numbers from `low` to `high`, neither negative; nullopt if there are none.
std::optional<Expr> magnitudes(uint64_t low, uint64_t high) {
  if (low > high) return std::nullopt;
  const std::string last = std::to_string(high);
  std::vector<Expr> parts;
  for (std::string first = std::to_string(low);;) {
    if (first.size() == last.size()) {
      parts.push_back(same_length(first, last));
      break;
    }
    parts.push_back(same_length(first, nines(first.size())));
    first = fmt::format("1{:0>{}}", "", first.size());
  }
  return choice(std::move(parts));
}

// A range of numbers that are not negative; `max` is the largest number of 18 digits if there is
// none.
struct Magnitudes {
  uint64_t min, max;
  bool min_excluded, max_excluded;
};

uint64_t magnitude(int64_t value) {
  return value < 0 ? uint64_t{0} - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
}

// The parts of the range below and from zero on.
struct Halves {
  std::optional<Magnitudes> negative, positive;
};
Halves halves(const NumberRange& range) {
  constexpr uint64_t kLargest = 999'999'999'999'999'999;
  static_assert(std::numeric_limits<int64_t>::digits10 == kLongestDigits);
  Halves result;
  if (!range.min || *range.min < 0) {
    const bool to_zero = !range.max || *range.max >= 0;
    result.negative = {.min = to_zero ? 0 : magnitude(*range.max),
                       .max = range.min ? magnitude(*range.min) : kLargest,
                       .min_excluded = to_zero || range.max_excluded,  // zero comes with the others
                       .max_excluded = range.min && range.min_excluded};
  }
  if (!range.max || *range.max >= 0) {
    const bool from_zero = !range.min || *range.min < 0;
    result.positive = {.min = from_zero ? 0 : magnitude(*range.min),
                       .max = range.max ? magnitude(*range.max) : kLargest,
                       .min_excluded = !from_zero && range.min_excluded,
                       .max_excluded = range.max && range.max_excluded};
  }
  return result;
}

std::optional<Expr> integers(const Magnitudes& range) {
  if (range.max_excluded && range.max == 0) return std::nullopt;
  return magnitudes(range.min + (range.min_excluded ? 1 : 0),
                    range.max - (range.max_excluded ? 1 : 0));
}

// Decimals that a number near `bound`, which is excluded, may have: with more than 15 digits in all
// it may be read as the bound itself.
int decimals_beside(uint64_t bound) {
  const auto whole = bound == 0 ? 0 : static_cast<int>(std::to_string(bound).size());
  return std::max(0, std::numeric_limits<double>::digits10 - whole);
}

Expr with_fraction(Expr whole, int most) {
  return most == 0 ? whole : sequence({std::move(whole), optional(fraction(most))});
}

std::optional<Expr> numbers(const Magnitudes& range) {
  if (range.min > range.max) return std::nullopt;
  std::vector<Expr> parts;
  if (range.min < range.max) {
    const int below = range.max_excluded ? decimals_beside(range.max) : kDigits;
    const Expr first = literal(std::to_string(range.min));
    if (!range.min_excluded) {
      parts.push_back(with_fraction(first, below));
    } else if (const int most = std::min(below, decimals_beside(range.min)); most > 0) {
      parts.push_back(sequence({first, literal("."), digits(0, most - 1), chars({{'1', '9'}})}));
    }
    if (auto between = magnitudes(range.min + 1, range.max - 1))
      parts.push_back(with_fraction(std::move(*between), below));
  }
  if (!range.max_excluded && !(range.min == range.max && range.min_excluded)) {
    const Expr zeros = sequence({literal("."), repeat(literal("0"), 1, 4)});
    parts.push_back(sequence({literal(std::to_string(range.max)), optional(zeros)}));
  }
  if (parts.empty()) return std::nullopt;
  return choice(std::move(parts));
}

Expr with_sign(std::optional<Expr> negative, std::optional<Expr> positive) {
  std::vector<Expr> parts;
  if (negative) parts.push_back(sequence({literal("-"), std::move(*negative)}));
  if (positive) parts.push_back(std::move(*positive));
  if (parts.empty()) fail("json_schema: no number lies between the minimum and the maximum");
  return choice(std::move(parts));
}

}  // namespace

Expr json_space() {
  return optional(choice(
      {literal(" "), sequence({literal("\n"), repeat(chars({{' ', ' '}, {'\t', '\t'}}), 0, 32)})}));
}

Expr json_character() {
  const auto hex = [](int count) { return repeat(chars(kHex), count, count); };
  const auto one_of = [](std::string_view digits) {
    CharSet set;
    for (const char c : digits) set.add(static_cast<uint8_t>(c), static_cast<uint8_t>(c));
    return chars(set);
  };
  const Expr other = sequence({one_of("0123456789abcefABCEF"), hex(3)});
  const Expr below_surrogates = sequence({one_of("dD"), one_of("01234567"), hex(2)});
  const Expr pair = sequence({one_of("dD"), one_of("89abAB"), hex(2), literal("\\u"), one_of("dD"),
                              one_of("cdefCDEF"), hex(2)});
  return choice(
      {chars(kPlain),
       sequence({literal("\\"),
                 choice({one_of("\"\\/bfnrt"),
                         sequence({literal("u"), choice({other, below_surrogates, pair})})})})});
}

Expr json_characters(const CharSet& set) {
  const CharSet plain = set.minus(kPlain.complement());
  std::vector<Expr> parts;
  if (!plain.empty()) parts.push_back(chars(plain));
  for (uint32_t c = 0; c < 0x80; ++c) {
    if (!set.contains(c) || kPlain.contains(c)) continue;
    parts.push_back(literal(json_escaped(std::string(1, static_cast<char>(c)))));
  }
  if (parts.empty()) fail("json_schema: a class of a pattern has no characters");
  return choice(std::move(parts));
}

std::string json_escaped(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '"':
        escaped += "\\\"";
        break;
      case '\\':
        escaped += "\\\\";
        break;
      case '\n':
        escaped += "\\n";
        break;
      case '\r':
        escaped += "\\r";
        break;
      case '\t':
        escaped += "\\t";
        break;
      case '\b':
        escaped += "\\b";
        break;
      case '\f':
        escaped += "\\f";
        break;
      default:
        if (static_cast<uint8_t>(c) < 0x20) {
          escaped += fmt::format("\\u{:04x}", static_cast<uint8_t>(c));
        } else {
          escaped += c;
        }
    }
  }
  return escaped;
}

Expr json_integer() {
  return sequence({optional(literal("-")), any_magnitude()});
}

Expr json_number() {
  const Expr exponent = sequence(
      {chars({{'e', 'e'}, {'E', 'E'}}), optional(chars({{'+', '+'}, {'-', '-'}})), digits(1, 2)});
  return sequence({json_integer(), optional(fraction()), optional(exponent)});
}

Expr json_integer_in(const NumberRange& range) {
  const auto [negative, positive] = halves(range);
  return with_sign(negative ? integers(*negative) : std::nullopt,
                   positive ? integers(*positive) : std::nullopt);
}

Expr json_number_in(const NumberRange& range) {
  const auto [negative, positive] = halves(range);
  return with_sign(negative ? numbers(*negative) : std::nullopt,
                   positive ? numbers(*positive) : std::nullopt);
}

namespace {

// The rest of a key, its closing quote included, when `depth` characters are read that all of
// `keys` (sorted) begin with.
Expr other_rest(std::span<const std::u32string> keys, size_t depth) {
  const Expr any_rest = sequence({repeat(chars(kPlain), 0, kUnbounded), literal("\"")});
  const bool is_key = !keys.empty() && keys[0].size() == depth;
  if (is_key) keys = keys.subspan(1);
  std::vector<Expr> parts;
  CharSet different = kPlain;
  while (!keys.empty()) {
    const auto c = static_cast<uint32_t>(keys[0][depth]);
    size_t same = 1;
    while (same < keys.size() && keys[same][depth] == keys[0][depth]) ++same;
    different = different.minus({{c, c}});
    if (kPlain.contains(c))  // a key with another cannot be written without escapes anyway
      parts.push_back(sequence({chars({{c, c}}), other_rest(keys.first(same), depth + 1)}));
    keys = keys.subspan(same);
  }
  parts.push_back(sequence({chars(different), any_rest}));
  if (!is_key) parts.push_back(literal("\""));
  return choice(std::move(parts));
}

}  // namespace

Expr json_other_key(std::vector<std::string> keys) {
  std::vector<std::u32string> decoded;
  for (const std::string& key : keys) {
    if (key.size() > 256) fail("json_schema: a property's name of more than 256 bytes");
    std::u32string characters;
    for (std::string_view rest = key; !rest.empty();) {
      const size_t length = inspect_utf8(rest).length;
      characters.push_back(decode_utf8(rest.substr(0, length)));
      rest.remove_prefix(length);
    }
    decoded.push_back(std::move(characters));
  }
  std::ranges::sort(decoded);
  decoded.erase(std::unique(decoded.begin(), decoded.end()), decoded.end());
  return sequence({literal("\""), other_rest(decoded, 0)});
}

}  // namespace tessera::grammar
