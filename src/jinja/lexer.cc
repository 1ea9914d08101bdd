#include "jinja/lexer.h"

#include <algorithm>
#include <charconv>

#include "base/utf8.h"
#include "jinja/text_operations.h"
#include "jinja/unicode.h"

namespace tessera::jinja {
namespace {

using unicode::Side;

// Every kind of line break becomes "\n"; the last one is dropped.
std::string normalize(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      text += source[i];
    } else if (i + 1 == source.size() || source[i + 1] != '\n') {
      text += '\n';
    }
  }
  if (text.ends_with('\n')) text.pop_back();
  return replace_invalid_bytes(text);
}

bool is_decimal_digit(char c) {
  return c >= '0' && c <= '9';
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(normalize(source)) {}

  std::vector<Token> run() {
    while (position_ < source_.size()) lex_text();
    push(Token::Type::kEnd);
    return std::move(tokens_);
  }

 private:
  std::string_view rest() const { return std::string_view(source_).substr(position_); }
  bool at(std::string_view text) const { return rest().starts_with(text); }
  char peek() const { return position_ < source_.size() ? source_[position_] : '\0'; }

  // Where the scan for line breaks has come to; positions asked for never go back.
  void locate(size_t position) {
    for (; located_ < position; ++located_) {
      if (source_[located_] == '\n') {
        ++line_;
        line_start_ = located_ + 1;
      }
    }
  }

  [[noreturn]] void fail_here(std::string_view message) {
    locate(std::min(position_, source_.size()));
    fail("line {}, column {}: {}", line_, located_ - line_start_ + 1, message);
  }

  void push(Token::Type type, std::string text = {}, Value value = {}, size_t start = npos) {
    locate(start == npos ? position_ : start);
    tokens_.push_back({type, std::move(text), std::move(value), line_,
                       static_cast<int>(located_ - line_start_) + 1});
  }

  // Reads text up to the next tag, and then that tag.
  void lex_text() {
    size_t begin = position_;
    while (begin < source_.size() && !is_tag_start(begin)) ++begin;
    const char kind = begin < source_.size() ? source_[begin + 1] : '\0';
    std::string_view text = std::string_view(source_).substr(position_, begin - position_);
    if (kind != '\0') text = strip_before_tag(text, begin);
    if (!text.empty()) push(Token::Type::kText, std::string(text));
    position_ = begin;
    if (kind == '\0') return;
    const size_t tag = position_;
    position_ += 2;
    const bool has_sign = peek() == '-' || peek() == '+';
    position_ += has_sign;
    if (kind == '#') {
      skip_comment(tag);
    } else if (kind == '{') {
      push(Token::Type::kPrintBegin, {}, {}, tag);
      lex_expression("}}", Token::Type::kPrintEnd);
    } else if (!lex_raw(tag)) {
      push(Token::Type::kTagBegin, {}, {}, tag);
      lex_expression("%}", Token::Type::kTagEnd);
    }
  }

  bool is_tag_start(size_t i) const {
    if (source_[i] != '{' || i + 1 == source_.size()) return false;
    const char next = source_[i + 1];
    return next == '{' || next == '%' || next == '#';
  }

  // `text` ends where the tag at `begin` starts.
  std::string_view strip_before_tag(std::string_view text, size_t begin) const {
    const char sign = begin + 2 < source_.size() ? source_[begin + 2] : '\0';
    if (sign == '-') return unicode::strip(text, Side::kRight);
    if (sign == '+' || source_[begin + 1] == '{') return text;
    // lstrip_blocks: only white space between the line's start and the tag.
    const size_t line_break = text.rfind('\n');
    if (line_break == text.npos && !at_line_start_) return text;
    const size_t indentation = line_break == text.npos ? 0 : line_break + 1;
    const bool blank = unicode::strip(text.substr(indentation)).empty();
    return blank ? text.substr(0, indentation) : text;
  }

  // Steps over the end of a tag: `close` with its sign and the white space that goes with it.
  bool take_close(std::string_view close) {
    if (at("-") && rest().substr(1).starts_with(close)) {
      position_ += 1 + close.size();
      position_ = source_.size() - unicode::strip(rest(), Side::kLeft).size();
    } else if (close != "}}" && at("+") && rest().substr(1).starts_with(close)) {
      position_ += 1 + close.size();
    } else if (at(close)) {
      position_ += close.size();
      if (close != "}}" && peek() == '\n') ++position_;  // trim_blocks
    } else {
      return false;
    }
    at_line_start_ = position_ > 0 && source_[position_ - 1] == '\n';
    return true;
  }

  void skip_comment(size_t tag) {
    while (position_ < source_.size()) {
      if (take_close("#}")) return;
      ++position_;
    }
    position_ = tag;
    fail_here("missing end of comment tag");
  }

  // {% raw %} ... {% endraw %}: the body is text, whatever it holds.
  bool lex_raw(size_t tag) {
    const size_t saved = position_;
    skip_space();
    if (!take_word("raw")) {
      position_ = saved;
      return false;
    }
    skip_space();
    const bool strips = at("-%}");
    if (!strips && !at("%}")) {
      position_ = saved;
      return false;
    }
    position_ += strips ? 3 : 2;
    if (strips) position_ = source_.size() - unicode::strip(rest(), Side::kLeft).size();
    at_line_start_ = source_[position_ - 1] == '\n';
    const size_t body = position_;
    for (; position_ < source_.size(); ++position_) {
      const size_t end = position_;
      if (!at("{%")) continue;
      position_ += 2;
      position_ += peek() == '-' || peek() == '+';
      skip_space();
      if (take_word("endraw")) {
        skip_space();
        if (take_close("%}")) {
          const auto text = std::string_view(source_).substr(body, end - body);
          push(Token::Type::kText, std::string(strip_before_tag(text, end)), {}, tag);
          return true;
        }
      }
      position_ = end;
    }
    position_ = tag;
    fail_here("missing end of raw tag");
  }

  bool take_word(std::string_view word) {
    if (!at(word)) return false;
    position_ += word.size();
    return true;
  }

  void skip_space() { position_ = source_.size() - unicode::strip(rest(), Side::kLeft).size(); }

  void lex_expression(std::string_view close, Token::Type end_type) {
    std::string open_brackets;
    for (;;) {
      skip_space();
      const size_t start = position_;
      // Inside brackets "}}" closes two dictionaries.
      if (open_brackets.empty() && take_close(close)) {
        push(end_type, {}, {}, start);
        return;
      }
      if (position_ >= source_.size()) fail_here("unexpected end of template");
      lex_token(open_brackets);
    }
  }

  void lex_token(std::string& open_brackets) {
    const char c = peek();
    size_t next = position_;
    if (unicode::is_identifier_start(unicode::decode(source_, next))) {
      lex_name();
    } else if (is_decimal_digit(c)) {
      lex_number();
    } else if (c == '\'' || c == '"') {
      lex_string();
    } else {
      lex_operator(open_brackets);
    }
  }

  void lex_name() {
    const size_t start = position_;
    size_t end = start;
    for (size_t next = end; end < source_.size(); end = next) {
      if (!unicode::is_identifier_part(unicode::decode(source_, next))) break;
    }
    push(Token::Type::kName, source_.substr(start, end - start));
    position_ = end;
  }

  // Digits with single underscores between them.
  size_t skip_digits(size_t i, std::string_view digits) const {
    while (i < source_.size()) {
      const bool separated = source_[i] == '_' && i + 1 < source_.size();
      const char c = separated ? source_[i + 1] : source_[i];
      if (digits.find(c) == digits.npos) break;
      i += separated ? 2 : 1;
    }
    return i;
  }

  void lex_number() {
    constexpr std::string_view kDigits = "0123456789abcdefABCDEF";
    const size_t start = position_;
    const char radix_letter = start + 1 < source_.size() ? source_[start + 1] | 0x20 : '\0';
    const int radix = source_[start] != '0' ? 10
                      : radix_letter == 'x' ? 16
                      : radix_letter == 'o' ? 8
                      : radix_letter == 'b' ? 2
                                            : 10;
    const auto digits =
        kDigits.substr(0, radix == 16 ? kDigits.size() : static_cast<size_t>(radix));
    size_t end = skip_digits(radix == 10 ? start : start + 2, digits);
    bool is_float = false;
    if (radix == 10) {
      const size_t whole = end;
      if (end + 1 < source_.size() && source_[end] == '.' && is_decimal_digit(source_[end + 1])) {
        end = skip_digits(end + 1, digits);
      }
      end = skip_exponent(end);
      is_float = end != whole;
    }
    std::string text = source_.substr(start, end - start);
    std::erase(text, '_');
    push(Token::Type::kLiteral, {},
         is_float ? Value(*parse_float(text)) : integer_literal(text, radix));
    position_ = end;
  }

  size_t skip_exponent(size_t i) const {
    if (i >= source_.size() || (source_[i] | 0x20) != 'e') return i;
    size_t digits = i + 1;
    if (digits < source_.size() && (source_[digits] == '+' || source_[digits] == '-')) ++digits;
    if (digits >= source_.size() || !is_decimal_digit(source_[digits])) return i;
    return skip_digits(digits, "0123456789");
  }

  Value integer_literal(const std::string& text, int radix) {
    const size_t prefix = radix == 10 ? 0 : 2;
    int64_t value = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + prefix, end, value, radix);
    if (error == std::errc::result_out_of_range) fail_here("an integer does not fit 64 bits");
    if (error != std::errc() || stop != end) fail_here("malformed number");
    return value;
  }

  void lex_string() {
    const size_t start = position_;
    const char quote = source_[start];
    std::string value;
    ++position_;
    for (;;) {
      if (position_ >= source_.size()) {
        position_ = start;
        fail_here("a string has no end");
      }
      const char c = source_[position_++];
      if (c == quote) break;
      if (c == '\\') {
        lex_escape(value);
      } else {
        value += c;
      }
    }
    push(Token::Type::kLiteral, {}, std::move(value), start);
  }

  // After the backslash. As in Python, one that means nothing stays in the text.
  void lex_escape(std::string& out) {
    const char c = peek();
    ++position_;
    constexpr std::string_view kLetters = "abfnrtv\\'\"", kMeanings = "\a\b\f\n\r\t\v\\'\"";
    if (const size_t at = kLetters.find(c); at != kLetters.npos) {
      out += kMeanings[at];
    } else if (c == '\n') {
      return;
    } else if (c == 'x' || c == 'u' || c == 'U') {
      append_utf8(out, take_digits(c == 'x' ? 2 : c == 'u' ? 4 : 8, 16, true));
    } else if (c >= '0' && c <= '7') {
      --position_;
      append_utf8(out, take_digits(3, 8, false));
    } else {
      out += '\\';
      --position_;
    }
  }

  char32_t take_digits(size_t count, int radix, bool exact) {
    const size_t available = std::min(count, source_.size() - std::min(position_, source_.size()));
    uint32_t value = 0;
    const char* begin = source_.data() + position_;
    const auto used =
        static_cast<size_t>(std::from_chars(begin, begin + available, value, radix).ptr - begin);
    if (used == 0 || (exact && used != count)) fail_here("malformed escape in a string");
    position_ += used;
    return value;
  }

  void lex_operator(std::string& open_brackets) {
    // Longer ones first.
    constexpr std::string_view kOperators[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                               "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                               ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};
    const auto found = std::find_if(std::begin(kOperators), std::end(kOperators),
                                    [this](std::string_view op) { return at(op); });
    if (found == std::end(kOperators)) fail_here("unexpected character");
    const char c = found->front();
    if (c == '(' || c == '[' || c == '{') {
      open_brackets += c == '(' ? ')' : c == '[' ? ']' : '}';
    } else if (c == ')' || c == ']' || c == '}') {
      if (open_brackets.empty()) fail_here(fmt::format("unexpected '{}'", c));
      if (open_brackets.back() != c) {
        fail_here(fmt::format("unexpected '{}', expected '{}'", c, open_brackets.back()));
      }
      open_brackets.pop_back();
    }
    push(Token::Type::kOperator, std::string(*found));
    position_ += found->size();
  }

  static constexpr size_t npos = std::string::npos;

  const std::string source_;
  size_t position_ = 0;
  bool at_line_start_ = true;
  size_t located_ = 0, line_start_ = 0;
  int line_ = 1;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source) {
  return Lexer(source).run();
}

}  // namespace tessera::jinja
