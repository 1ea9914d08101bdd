#include "jinja/percent_format.h"

#include <algorithm>
#include <cmath>

#include "base/utf8.h"
#include "jinja/html.h"
#include "jinja/operators.h"
#include "jinja/serialize.h"
#include "jinja/text_operations.h"
#include "jinja/unicode.h"

namespace tessera::jinja {
namespace {

// No number needs more digits, and printf would oblige anyone who asks for a gigabyte of them.
constexpr int64_t kMaxPrecision = 400;

// What stands between "%" and the letter, or after ":" in braces.
struct Spec {
  std::string fill = " ";
  char align = '\0';  // < > ^ =, or none
  char sign = '-';    // - + or space
  bool alternate = false;
  bool grouped = false;
  int64_t width = 0;
  std::optional<int64_t> precision;
  char type = '\0';
};

int64_t parse_number(std::string_view text, size_t& i) {
  int64_t value = 0;
  for (; i < text.size() && text[i] >= '0' && text[i] <= '9'; ++i) {
    value = value * 10 + (text[i] - '0');
    if (value > int64_t{1} << 32) fail("a number in a format is too large");
  }
  return value;
}

std::string sign_of(bool negative, const Spec& spec) {
  if (negative) return "-";
  return spec.sign == '-' ? std::string() : std::string(1, spec.sign);
}

// Thousands separators in the digits before the point.
std::string group_digits(const std::string& digits) {
  const size_t whole = std::min(digits.find_first_not_of("0123456789"), digits.size());
  std::string out;
  for (size_t i = 0; i < whole; ++i) {
    if (i > 0 && (whole - i) % 3 == 0) out += ',';
    out += digits[i];
  }
  return out + digits.substr(whole);
}

std::string format_magnitude(const Value& value, const Spec& spec) {
  if (spec.precision && *spec.precision > kMaxPrecision)
    fail("a precision of {} is too much", *spec.precision);
  const int precision = static_cast<int>(spec.precision.value_or(6));
  const double number = std::abs(*value.number());
  const auto integer = value.integer();
  switch (spec.type) {
    case 'f':
    case 'F':
      return fmt::format("{:.{}f}", number, precision);
    case 'e':
      return fmt::format("{:.{}e}", number, precision);
    case 'E':
      return fmt::format("{:.{}E}", number, precision);
    case 'g':
      return fmt::format("{:.{}g}", number, precision);
    case 'G':
      return fmt::format("{:.{}G}", number, precision);
    case '%':
      return fmt::format("{:.{}f}%", number * 100, precision);
    default:
      break;
  }
  if (!integer) return spec.precision ? fmt::format("{:.{}g}", number, precision) : repr(number);
  const uint64_t magnitude =
      *integer < 0 ? -static_cast<uint64_t>(*integer) : static_cast<uint64_t>(*integer);
  switch (spec.type) {
    case 'x':
      return fmt::format("{}{:x}", spec.alternate ? "0x" : "", magnitude);
    case 'X':
      return fmt::format("{}{:X}", spec.alternate ? "0X" : "", magnitude);
    case 'o':
      return fmt::format("{}{:o}", spec.alternate ? "0o" : "", magnitude);
    case 'b':
      return fmt::format("{}{:b}", spec.alternate ? "0b" : "", magnitude);
    default:
      return std::to_string(magnitude);
  }
}

std::string align_text(const std::string& text, const Spec& spec, char default_align,
                       Budget& budget) {
  const char align = spec.align ? spec.align : default_align;
  const Alignment alignment = align == '<'   ? Alignment::kLeft
                              : align == '^' ? Alignment::kCenter
                                             : Alignment::kRight;
  if (alignment != Alignment::kCenter) return pad(text, spec.width, spec.fill, alignment, budget);
  // format() puts the odd character right, unlike center().
  const auto size = static_cast<int64_t>(unicode::length(text));
  const int64_t left = size + std::max<int64_t>(spec.width - size, 0) / 2;
  return pad(pad(text, left, spec.fill, Alignment::kRight, budget), spec.width, spec.fill,
             Alignment::kLeft, budget);
}

std::string format_number(const Value& value, const Spec& spec, Budget& budget) {
  std::string digits = format_magnitude(value, spec);
  if (spec.grouped) digits = group_digits(digits);
  std::string sign = sign_of(std::signbit(*value.number()), spec);
  if (spec.align != '=') return align_text(sign + digits, spec, '>', budget);
  const auto room = spec.width - static_cast<int64_t>(sign.size());
  return sign.append(pad(digits, room, spec.fill, Alignment::kRight, budget));
}

std::string format_text(std::string text, const Spec& spec, char default_align, Budget& budget) {
  if (spec.precision) text.resize(unicode::offset(text, static_cast<size_t>(*spec.precision)));
  return align_text(text, spec, default_align, budget);
}

// A text that grows piece by piece, and no longer than the budget allows.
class BoundedText {
 public:
  explicit BoundedText(Budget& budget) : budget_(budget) {}

  void add(const std::string& text) {
    budget_.check_text(text_.size() + text.size());
    budget_.scan(text.size());
    text_ += text;
  }
  std::string take() { return std::move(text_); }

 private:
  Budget& budget_;
  std::string text_;
};

// --- "%s" % values ---

class PercentFormatter {
 public:
  PercentFormatter(const Value& pattern, const Value& values, Budget& budget)
      : pattern_(*pattern.string()),
        escapes_(pattern.is_markup()),
        values_(values),
        budget_(budget) {}

  std::string run() {
    while (position_ < pattern_.size()) {
      const size_t percent = std::min(pattern_.find('%', position_), pattern_.size());
      out_.add(pattern_.substr(position_, percent - position_));
      position_ = percent + 1;
      if (percent < pattern_.size()) out_.add(directive());
    }
    const bool all_used = used_by_name_ || values_.dict() || used_ == available();
    if (!all_used) fail("not all arguments converted during string formatting");
    return out_.take();
  }

 private:
  bool is_tuple() const { return values_.list() && values_.list()->is_tuple(); }
  size_t available() const { return is_tuple() ? values_.list()->items.size() : 1; }

  Value next_value() {
    if (used_ >= available()) fail("not enough arguments for format string");
    ++used_;
    return is_tuple() ? values_.list()->items[used_ - 1] : values_;
  }

  std::optional<Value> named_value() {
    if (position_ >= pattern_.size() || pattern_[position_] != '(') return std::nullopt;
    const size_t end = pattern_.find(')', position_);
    if (end == pattern_.npos) fail("incomplete format key");
    if (!values_.dict()) fail("format requires a mapping");
    const std::string key = pattern_.substr(position_ + 1, end - position_ - 1);
    position_ = end + 1;
    used_by_name_ = true;
    const Value* found = values_.dict()->find(std::string_view(key));
    if (!found) fail("the format names '{}', which was not given", key);
    return *found;
  }

  void parse_flags(Spec& spec) {
    for (; position_ < pattern_.size(); ++position_) {
      switch (pattern_[position_]) {
        case '-':
          spec.align = '<';
          break;
        case '+':
          spec.sign = '+';
          break;
        case ' ':
          if (spec.sign == '-') spec.sign = ' ';
          break;
        case '#':
          spec.alternate = true;
          break;
        case '0':
          zero_pad_ = true;
          break;
        default:
          return;
      }
    }
  }

  int64_t width_or_star() {
    if (position_ >= pattern_.size() || pattern_[position_] != '*')
      return parse_number(pattern_, position_);
    ++position_;
    const auto value = next_value().integer();
    if (!value) fail("* wants an integer");
    if (*value < 0 || *value > int64_t{1} << 32) fail("a width of {} is out of range", *value);
    return *value;
  }

  std::string directive() {
    const auto named = named_value();
    Spec spec;
    zero_pad_ = false;
    parse_flags(spec);
    spec.width = width_or_star();
    if (position_ < pattern_.size() && pattern_[position_] == '.') {
      ++position_;
      spec.precision = width_or_star();
    }
    if (position_ >= pattern_.size()) fail("incomplete format");
    spec.type = pattern_[position_++];
    if (spec.type == '%') return "%";
    return format_value(named ? *named : next_value(), spec);
  }

  std::string format_value(const Value& value, Spec& spec) {
    if (spec.type == 's' || spec.type == 'r' || spec.type == 'a') {
      const Value text = spec.type == 's' ? value : Value(repr(value, budget_));
      return format_text(escapes_ ? *escape(text, budget_).string() : to_text(text, budget_), spec,
                         '>', budget_);
    }
    if (spec.type == 'c') return format_text(character(value), spec, '>', budget_);
    if (!value.defined().is_number())
      fail("%{} format: a number is required, not {}", spec.type, value.type_name());
    if (zero_pad_ && spec.align != '<') {
      spec.align = '=';
      spec.fill.assign(1, '0');
    }
    Value number = value;
    if (spec.type == 'd' || spec.type == 'i' || spec.type == 'u') {
      if (!number.integer()) number = truncate_to_integer(*number.number());
      spec.precision.reset();
    } else if (spec.type == 'x' || spec.type == 'X' || spec.type == 'o') {
      if (!number.integer()) fail("%{} format: an integer is required", spec.type);
    } else if (std::string_view("fFeEgG").find(spec.type) == std::string_view::npos) {
      fail("unsupported format character '{}'", spec.type);
    }
    return format_number(number, spec, budget_);
  }

  static std::string character(const Value& value) {
    if (value.string() && unicode::length(*value.string()) == 1) return *value.string();
    const auto code = value.integer();
    if (!code || *code < 0 || *code > 0x10ffff) fail("%c requires an integer or one character");
    std::string out;
    append_utf8(out, static_cast<char32_t>(*code));
    return out;
  }

  const std::string& pattern_;
  const bool escapes_;
  const Value& values_;
  Budget& budget_;
  size_t position_ = 0, used_ = 0;
  bool used_by_name_ = false, zero_pad_ = false;
  BoundedText out_{budget_};
};

// --- "{}".format(values) ---

Spec parse_spec(std::string_view text) {
  Spec spec;
  size_t i = 0;
  const auto is_align = [&](size_t at) {
    return at < text.size() && std::string_view("<>^=").find(text[at]) != std::string_view::npos;
  };
  const size_t first = unicode::offset(text, 1);
  if (!text.empty() && is_align(first)) {
    spec.fill = text.substr(0, first);
    spec.align = text[first];
    i = first + 1;
  } else if (is_align(0)) {
    spec.align = text[i++];
  }
  const auto take = [&](std::string_view choices) {
    return i < text.size() && choices.find(text[i]) != choices.npos ? text[i++] : '\0';
  };
  if (const char sign = take("+- ")) spec.sign = sign;
  spec.alternate = take("#") != '\0';
  if (take("0") && !spec.align) {
    spec.fill.assign(1, '0');
    spec.align = '=';
  }
  spec.width = parse_number(text, i);
  spec.grouped = take(",") != '\0';
  if (take(".")) spec.precision = parse_number(text, i);
  spec.type = take("sdfFeEgGxXob%");
  if (i != text.size()) fail("invalid format specifier '{}'", text);
  return spec;
}

std::string format_field(const Value& value, std::string_view spec_text, Budget& budget) {
  if (spec_text.empty()) return to_text(value, budget);
  Spec spec = parse_spec(spec_text);
  if (value.is_number() && !(value.get_if<bool>() && !spec.type)) {
    if (spec.type == 's') fail("invalid format specifier '{}' for a number", spec_text);
    if (!value.integer() && spec.type != '\0' &&
        std::string_view("dxXob").find(spec.type) != std::string_view::npos) {
      fail("format code '{}' needs an integer", spec.type);
    }
    return format_number(value, spec, budget);
  }
  if (!value.string() || spec.align == '=' || (spec.type != '\0' && spec.type != 's')) {
    fail("invalid format specifier '{}' for '{}'", spec_text, value.type_name());
  }
  return format_text(*value.string(), spec, '<', budget);
}

class BraceFormatter {
 public:
  BraceFormatter(const Value& pattern, const Arguments& arguments, Budget& budget)
      : pattern_(*pattern.string()),
        escapes_(pattern.is_markup()),
        arguments_(arguments),
        budget_(budget) {}

  std::string run() {
    for (size_t i = 0; i < pattern_.size();) {
      const size_t brace = std::min(pattern_.find_first_of("{}", i), pattern_.size());
      out_.add(pattern_.substr(i, brace - i));
      i = brace;
      if (i == pattern_.size()) break;
      if (i + 1 < pattern_.size() && pattern_[i + 1] == pattern_[i]) {  // doubled: the brace itself
        out_.add(pattern_.substr(i, 1));
        i += 2;
        continue;
      }
      const size_t end = pattern_.find_first_of("{}", i + 1);
      if (pattern_[i] == '}' || end == pattern_.npos || pattern_[end] == '{')
        fail("unbalanced braces in a format");
      out_.add(field(std::string_view(pattern_).substr(i + 1, end - i - 1)));
      i = end + 1;
    }
    return out_.take();
  }

 private:
  // name [.attribute | [index]] [!r] [:spec]
  std::string field(std::string_view text) {
    const size_t colon = std::min(text.find(':'), text.size());
    const std::string_view spec = colon < text.size() ? text.substr(colon + 1) : std::string_view();
    std::string_view path = text.substr(0, colon);
    char conversion = 's';
    if (path.size() >= 2 && path[path.size() - 2] == '!') {
      conversion = path.back();
      path.remove_suffix(2);
    }
    Value value = look_up(path);
    if (conversion == 'r') value = repr(value, budget_);
    if (!escapes_) return format_field(value, spec, budget_);
    if (value.is_markup() && !spec.empty()) fail("invalid format specifier '{}' for Markup", spec);
    return value.is_markup() ? *value.string()
                             : escape_html(format_field(value, spec, budget_), budget_);
  }

  Value look_up(std::string_view path) {
    const size_t name_end = std::min(path.find_first_of(".["), path.size());
    Value value = argument(path.substr(0, name_end));
    for (size_t i = name_end; i < path.size();) {
      const bool in_brackets = path[i] == '[';
      const size_t end =
          in_brackets ? path.find(']', i) : std::min(path.find_first_of(".[", i + 1), path.size());
      if (end == path.npos) fail("missing ']' in a format");
      const std::string_view name = path.substr(i + 1, end - i - 1);
      const auto index = parse_integer(name, 10);
      const auto found = subscript(value, index ? Value(*index) : Value(name), budget_);
      if (!found) fail("the format's '{}' does not exist", path);
      value = *found;
      i = in_brackets ? end + 1 : end;
    }
    return value;
  }

  Value argument(std::string_view name) {
    const bool is_number = name.find_first_not_of("0123456789") == name.npos;
    if (is_number) {
      size_t i = 0;
      const size_t index = name.empty() ? automatic_++ : static_cast<size_t>(parse_number(name, i));
      if (index < arguments_.positional.size()) return arguments_.positional[index];
    } else {
      for (const auto& [key, value] : arguments_.named) {
        if (key == name) return value;
      }
    }
    fail("the format names argument '{}', which was not given", name);
  }

  const std::string& pattern_;
  const bool escapes_;
  const Arguments& arguments_;
  Budget& budget_;
  size_t automatic_ = 0;
  BoundedText out_{budget_};
};

}  // namespace

Value percent_format(const Value& pattern, const Value& values, Budget& budget) {
  std::string text = PercentFormatter(pattern, values, budget).run();
  return pattern.is_markup() ? Value::markup(std::move(text)) : Value(std::move(text));
}

Value brace_format(const Value& pattern, const Arguments& arguments, Budget& budget) {
  std::string text = BraceFormatter(pattern, arguments, budget).run();
  return pattern.is_markup() ? Value::markup(std::move(text)) : Value(std::move(text));
}

}  // namespace tessera::jinja
