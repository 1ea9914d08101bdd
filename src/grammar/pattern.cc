#include "grammar/pattern.h"

#include <optional>

#include "base/error.h"
#include "base/printable.h"
#include "base/utf8.h"
#include "grammar/json_values.h"

namespace tessera::grammar {
namespace {

constexpr size_t kMaxPattern = 4096;
constexpr int kMaxPatternNesting = 64;
constexpr int kMaxRepetition = 10'000;

const CharSet kDigits = {{'0', '9'}};
const CharSet kWord = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
const CharSet kSpace = {{'\t', '\r'},     {' ', ' '},       {0xA0, 0xA0},     {0x1680, 0x1680},
                        {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F},
                        {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
const CharSet kLineEnds = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};

CharSet one(uint32_t c) {
  return {{c, c}};
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Expr parse() {
    if (text_.size() > kMaxPattern) error(fmt::format("more than {} bytes", kMaxPattern));
    std::vector<Expr> parts;
    do {
      std::vector<Expr> items;
      if (!take('^')) items.push_back(anything());
      items.push_back(terms(0));
      if (!take('$')) items.push_back(anything());
      parts.push_back(sequence(std::move(items)));
    } while (take('|'));
    if (!at_end()) error(fmt::format("'{}' is not expected", printable(text_.substr(at_, 1))));
    return choice(std::move(parts));
  }

 private:
  bool at_end() const { return at_ == text_.size(); }
  char peek() const { return at_end() ? '\0' : text_[at_]; }
  bool take(char c) {
    if (at_end() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  [[noreturn]] void error(const std::string& what) const {
    fail("json_schema: pattern '{}', at {}: {}", printable(text_), at_ + 1, what);
  }
  static Expr anything() { return repeat(json_character(), 0, kUnbounded); }

  Expr alternatives(int depth) {
    if (depth > kMaxPatternNesting) error("too many groups in groups");
    std::vector<Expr> parts;
    do {
      parts.push_back(terms(depth));
    } while (take('|'));
    return choice(std::move(parts));
  }

  Expr terms(int depth) {
    std::vector<Expr> items;
    while (!at_end() && peek() != '|' && peek() != ')' && peek() != '$') {
      Expr item = atom(depth);
      quantify(item);
      items.push_back(std::move(item));
    }
    return sequence(std::move(items));
  }

  Expr atom(int depth) {
    if (take('(')) {
      if (take('?') && !take(':')) error("groups that look around are not supported");
      Expr group = alternatives(depth + 1);
      if (!take(')')) error("expected ')'");
      return group;
    }
    if (take('.')) return json_characters(kLineEnds.complement());
    if (take('[')) return json_characters(character_class());
    for (const char c : {'*', '+', '?', '{', '^'})
      if (peek() == c) error(fmt::format("'{}' is not expected", c));
    return json_characters(single());
  }

  void quantify(Expr& item) {
    int min = 0, max = kUnbounded;
    if (take('?')) {
      max = 1;
    } else if (take('+')) {
      min = 1;
    } else if (take('{')) {
      min = max = count();
      if (take(',')) max = peek() == '}' ? kUnbounded : count();
      if (!take('}')) error("expected '}'");
      if (max != kUnbounded && max < min) error("the largest count is less than the smallest");
    } else if (!take('*')) {
      return;
    }
    take('?');  // lazy: the same texts
    item = repeat(std::move(item), min, max);
  }

  int count() {
    if (!kDigits.contains(static_cast<uint8_t>(peek()))) error("expected a count");
    int value = 0;
    while (kDigits.contains(static_cast<uint8_t>(peek()))) {
      value = value * 10 + (text_[at_++] - '0');
      if (value > kMaxRepetition) error(fmt::format("more than {} repetitions", kMaxRepetition));
    }
    return value;
  }

  CharSet character_class() {
    const bool negated = take('^');
    CharSet set;
    while (!take(']')) {
      if (at_end()) error("expected ']'");
      CharSet first = single();
      if (peek() == '-' && at_ + 1 < text_.size() && text_[at_ + 1] != ']') {
        ++at_;
        const CharSet last = single();
        if (!is_one(first) || !is_one(last) || last.ranges()[0].first < first.ranges()[0].first)
          error("this is no range of characters");
        first = {{first.ranges()[0].first, last.ranges()[0].first}};
      }
      set.add(first);
    }
    return negated ? set.complement() : set;
  }
  static bool is_one(const CharSet& set) {
    return set.ranges().size() == 1 && set.ranges()[0].first == set.ranges()[0].second;
  }

  // One character, or what an escape like \d stands for.
  CharSet single() {
    if (at_end()) error("expected a character");
    if (!take('\\')) return one(character());
    const char c = peek();
    if (at_end()) error("expected an escape");
    ++at_;
    switch (c) {
      case 'd':
        return kDigits;
      case 'D':
        return kDigits.complement();
      case 'w':
        return kWord;
      case 'W':
        return kWord.complement();
      case 's':
        return kSpace;
      case 'S':
        return kSpace.complement();
      case 'n':
        return one('\n');
      case 'r':
        return one('\r');
      case 't':
        return one('\t');
      case 'f':
        return one('\f');
      case 'v':
        return one('\v');
      case 'x':
        return one(hex(2));
      case 'u':
        return one(hex(4));
      default:
        break;
    }
    if (kWord.contains(static_cast<uint8_t>(c)) || static_cast<uint8_t>(c) >= 0x80) {
      --at_;
      error(fmt::format("the escape \\{} is not supported", printable(text_.substr(at_, 1))));
    }
    return one(static_cast<uint8_t>(c));
  }

  uint32_t character() {
    const std::string_view rest = text_.substr(at_);
    const size_t length = inspect_utf8(rest).length;
    at_ += length;
    return decode_utf8(rest.substr(0, length));
  }

  uint32_t hex(int digits) {
    uint32_t value = 0;
    for (int i = 0; i < digits; ++i) {
      const size_t digit =
          std::string_view("0123456789abcdef").find(static_cast<char>(peek() | 0x20));
      if (at_end() || digit == std::string_view::npos || peek() < '0')
        error(fmt::format("expected {} hexadecimal digits", digits));
      value = value << 4 | static_cast<uint32_t>(digit);
      ++at_;
    }
    if (value >= 0xD800 && value <= 0xDFFF) error("surrogates are not supported");
    return value;
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

Expr pattern_syntax(std::string_view pattern) {
  return Parser(pattern).parse();
}

}  // namespace tessera::grammar
