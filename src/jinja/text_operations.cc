#include "jinja/text_operations.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "jinja/unicode.h"

namespace tessera::jinja {
namespace {

// What int() and float() read: digits of any script as ASCII, without the single underscores
// between digits; nullopt if one stands elsewhere.
std::optional<std::string> plain_digits(std::string_view text) {
  text = unicode::strip(text);
  std::string out;
  bool after_digit = false;
  for (size_t i = 0; i < text.size();) {
    const size_t at = i;
    const char32_t c = unicode::decode(text, i);
    if (c == '_') {
      size_t next = i;
      if (!after_digit || i >= text.size() || !unicode::is_word(unicode::decode(text, next)) ||
          text[i] == '_') {
        return std::nullopt;
      }
      continue;
    }
    after_digit = unicode::is_word(c);
    if (unicode::is_decimal(c)) {
      out += static_cast<char>('0' + unicode::decimal_value(c));
    } else {
      out.append(text, at, i - at);
    }
  }
  return out;
}

}  // namespace

std::string replace_all(std::string_view text, std::string_view from, std::string_view to,
                        int64_t count, Budget& budget) {
  std::string out;
  size_t position = 0;
  const auto add = [&](std::string_view piece) {
    budget.check_text(out.size() + piece.size());
    budget.scan(piece.size());
    out += piece;
  };
  for (int64_t done = 0; count < 0 || done < count; ++done) {
    size_t found = unicode::find(text, from, position);
    if (from.empty() && done > 0) {
      if (position >= text.size()) break;
      unicode::decode(text, found);  // step over one character
    }
    if (found == text.npos) break;
    add(text.substr(position, found - position));
    add(to);
    position = found + from.size();
  }
  add(text.substr(position));
  return out;
}

std::string pad(std::string_view text, int64_t width, std::string_view fill, Alignment alignment,
                Budget& budget) {
  const auto size = static_cast<int64_t>(unicode::length(text));
  if (unicode::length(fill) != 1) fail("the fill character must be exactly one character long");
  if (width <= size) return std::string(text);
  const auto missing = static_cast<uint64_t>(width - size);
  if (missing > (uint64_t{1} << 40)) fail("a width of {} is too much", width);
  budget.create_text(text.size() + missing * fill.size());
  // As CPython does it: an odd gap puts the extra character left if the width is odd.
  uint64_t left = missing / 2 + (missing & static_cast<uint64_t>(width) & 1);
  if (alignment == Alignment::kLeft) left = 0;
  if (alignment == Alignment::kRight) left = missing;
  std::string out;
  for (uint64_t i = 0; i < left; ++i) out += fill;
  out += text;
  for (uint64_t i = left; i < missing; ++i) out += fill;
  return out;
}

std::optional<int64_t> parse_integer(std::string_view text, int radix) {
  const auto digits = plain_digits(text);
  if (!digits) return std::nullopt;
  std::string_view rest = *digits;
  const bool negative = rest.starts_with('-');
  if (negative || rest.starts_with('+')) rest.remove_prefix(1);
  const auto take_prefix = [&](int prefix_radix, char letter) {
    const bool has = rest.size() > 2 && rest[0] == '0' && (rest[1] | 0x20) == letter;
    if (!has || (radix != 0 && radix != prefix_radix)) return;
    rest.remove_prefix(2);
    radix = prefix_radix;
  };
  take_prefix(16, 'x');
  take_prefix(8, 'o');
  take_prefix(2, 'b');
  if (radix == 0) radix = 10;
  const std::string signed_digits = fmt::format("{}{}", negative ? "-" : "", rest);
  if (rest.empty() || rest[0] == '-' || rest[0] == '+') return std::nullopt;
  int64_t value = 0;
  const char* end = signed_digits.data() + signed_digits.size();
  const auto [stop, error] = std::from_chars(signed_digits.data(), end, value, radix);
  if (stop != end || error == std::errc::invalid_argument) return std::nullopt;
  if (error == std::errc::result_out_of_range) fail("an integer does not fit 64 bits");
  return value;
}

std::optional<double> parse_float(std::string_view text) {
  const auto digits = plain_digits(text);
  if (!digits) return std::nullopt;
  std::string_view rest = *digits;
  if (rest.starts_with('+')) {
    rest.remove_prefix(1);
    if (rest.starts_with('-')) return std::nullopt;
  }
  if (rest.find('(') != rest.npos) return std::nullopt;  // C++ accepts "nan(...)"
  double value = 0;
  const auto [stop, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
  if (rest.empty() || stop != rest.data() + rest.size()) return std::nullopt;
  if (error == std::errc::result_out_of_range) {
    value = std::strtod(std::string(rest).c_str(), nullptr);  // infinity or zero, as Python has it
  } else if (error != std::errc()) {
    return std::nullopt;
  }
  return value;
}

int64_t truncate_to_integer(double value) {
  if (!(std::abs(value) < 0x1p63)) fail("{} does not fit a 64-bit integer", value);
  return static_cast<int64_t>(value);
}

}  // namespace tessera::jinja
