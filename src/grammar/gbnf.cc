#include "grammar/gbnf.h"

#include <algorithm>
#include <optional>
#include <unordered_map>

#include "base/error.h"
#include "base/printable.h"
#include "base/utf8.h"

namespace tessera::grammar {
namespace {

constexpr size_t kMaxText = 256 << 10;
constexpr size_t kMaxRules = 4096;
constexpr int kMaxNesting = 128;
constexpr int kMaxOperators = 4;  // on one symbol
constexpr int kMaxRepetition = 100'000;

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Syntax parse() {
    if (text_.size() > kMaxText)
      fail("grammar: {} bytes are too many, at most {} expected", text_.size(), kMaxText);
    skip_blanks(true);
    while (!at_end()) rule();
    for (size_t i = 0; i < syntax_.rules.size(); ++i) {
      if (!defined_[i]) {
        at_ = first_use_[i];
        error("there is no rule '" + syntax_.rules[i].name + "'");
      }
    }
    const auto root = index_.find("root");
    if (root == index_.end()) fail("grammar: there is no rule 'root'");
    syntax_.root = root->second;
    return std::move(syntax_);
  }

 private:
  // --- characters -----------------------------------------------------------------------------
  bool at_end() const { return at_ >= text_.size(); }
  char peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : 0; }
  bool take(std::string_view expected) {
    if (!text_.substr(at_).starts_with(expected)) return false;
    at_ += expected.size();
    return true;
  }

  [[noreturn]] void error(const std::string& what) const {
    const std::string_view before = text_.substr(0, at_);
    const size_t line = 1 + static_cast<size_t>(std::ranges::count(before, '\n'));
    const size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
    fail("grammar: line {}, column {}: {}", line, at_ - line_start + 1, what);
  }
  [[noreturn]] void expected(const std::string& what) const {
    error("expected " + what + ", found " + found());
  }
  std::string found() const {
    if (at_end()) return "the end";
    if (peek() == '\n') return "the end of the line";
    return "'" + printable(text_.substr(at_, inspect_utf8(text_.substr(at_)).length)) + "'";
  }

  void skip_blanks(bool over_lines) {
    while (!at_end()) {
      const char c = peek();
      if (c == '#') {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else if (c == ' ' || c == '\t' || c == '\r' || (over_lines && c == '\n')) {
        ++at_;
      } else {
        return;
      }
    }
  }

  std::string_view name() {
    const size_t begin = at_;
    while (is_word(peek())) ++at_;
    if (at_ == begin) expected("the name of a rule");
    return text_.substr(begin, at_ - begin);
  }

  uint32_t rule_index(std::string_view rule_name) {
    const auto [found, is_new] =
        index_.emplace(rule_name, static_cast<uint32_t>(syntax_.rules.size()));
    if (is_new) {
      if (syntax_.rules.size() == kMaxRules)
        error(fmt::format("more than {} rules are too many", kMaxRules));
      syntax_.rules.push_back({std::string(rule_name)});
      defined_.push_back(false);
      first_use_.push_back(static_cast<size_t>(rule_name.data() - text_.data()));
    }
    return found->second;
  }

  uint32_t hex(int digits) {
    uint32_t value = 0;
    for (int i = 0; i < digits; ++i, ++at_) {
      const char c = peek();
      const int digit = is_digit(c)            ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) expected(fmt::format("{} hexadecimal digits", digits));
      value = value << 4 | static_cast<uint32_t>(digit);
    }
    if (value > kMaxCodePoint || (value >= 0xD800 && value <= 0xDFFF))
      error(fmt::format("U+{:04X} is no character", value));
    return value;
  }

  // One character of a literal or a class, escapes undone.
  uint32_t character() {
    if (!take("\\")) {
      const std::string_view rest = text_.substr(at_);
      const Utf8Prefix prefix = inspect_utf8(rest);
      if (prefix.kind != Utf8Prefix::Kind::kComplete) error("this is not UTF-8");
      at_ += prefix.length;
      return decode_utf8(rest.substr(0, prefix.length));
    }
    const char c = peek();
    if (!at_end()) ++at_;
    switch (c) {
      case 'x':
        return hex(2);
      case 'u':
        return hex(4);
      case 'U':
        return hex(8);
      case 'n':
        return '\n';
      case 'r':
        return '\r';
      case 't':
        return '\t';
      case '\\':
      case '"':
      case '[':
      case ']':
      case '-':
      case '^':
      case '/':
        return static_cast<uint32_t>(c);
      default:
        break;
    }
    --at_;
    expected("an escape: \\n \\r \\t \\\\ \\\" \\[ \\] \\xHH \\uHHHH or \\UHHHHHHHH");
  }

  // --- the notation ---------------------------------------------------------------------------
  void rule() {
    const size_t begin = at_;
    const std::string_view rule_name = name();
    const uint32_t index = rule_index(rule_name);
    if (defined_[index]) {
      at_ = begin;
      error("the rule '" + std::string(rule_name) + "' is there twice");
    }
    defined_[index] = true;
    skip_blanks(false);
    if (!take("::=")) expected("'::='");
    skip_blanks(true);
    Expr body = alternatives(0);
    if (!at_end() && !take("\n")) expected("'|', the end of the rule, or something to match");
    skip_blanks(true);
    syntax_.rules[index].body = std::move(body);
  }

  Expr alternatives(int depth) {
    if (depth > kMaxNesting) error(fmt::format("more than {} groups in groups", kMaxNesting));
    std::vector<Expr> items;
    do {
      skip_blanks(true);
      items.push_back(symbols(depth));
    } while (take("|") || next_line_goes_on());
    return items.size() == 1 ? std::move(items[0]) : choice(std::move(items));
  }

  // A line may begin with the '|' of the rule above.
  bool next_line_goes_on() {
    const size_t begin = at_;
    skip_blanks(true);
    if (take("|")) return true;
    at_ = begin;
    return false;
  }

  Expr symbols(int depth) {
    std::vector<Expr> items;
    for (;;) {
      std::optional<Expr> item = symbol(depth);
      if (!item) break;
      skip_blanks(depth > 0);
      for (int operators = 0; repetition(*item); skip_blanks(depth > 0)) {
        if (++operators > kMaxOperators) error("too many repetitions of repetitions");
      }
      items.push_back(std::move(*item));
    }
    return items.size() == 1 ? std::move(items[0]) : sequence(std::move(items));
  }

  std::optional<Expr> symbol(int depth) {
    const char c = peek();
    if (c == '"') return quoted();
    if (c == '[') return character_class();
    if (c == '.') {
      ++at_;
      return chars(CharSet::all());
    }
    if (c == '(') {
      ++at_;
      Expr group = alternatives(depth + 1);
      skip_blanks(true);
      if (!take(")")) expected("')', '|', or something to match");
      return group;
    }
    if (c == '<' || c == '!') error("matching whole tokens (<...>) is not supported");
    if (is_word(c)) return call(rule_index(name()));
    return std::nullopt;
  }

  Expr quoted() {
    ++at_;
    std::string bytes;
    while (peek() != '"') {
      if (at_end() || peek() == '\n') expected("'\"', the end of the literal");
      append_utf8(bytes, character());
    }
    ++at_;
    return literal(bytes);
  }

  Expr character_class() {
    const size_t begin = at_++;
    const bool negated = take("^");
    std::vector<std::pair<uint32_t, uint32_t>> ranges;
    while (peek() != ']') {
      if (at_end() || peek() == '\n') expected("']', the end of the class");
      const uint32_t first = character();
      uint32_t last = first;
      if (peek() == '-' && peek(1) != ']') {
        ++at_;
        if (at_end() || peek() == '\n') expected("the end of a range");
        last = character();
        if (last < first) error("a range's end lies before its beginning");
      }
      ranges.emplace_back(first, last);
    }
    ++at_;
    CharSet set(std::move(ranges));
    if (negated) set = set.complement();
    if (set.empty()) {
      at_ = begin;
      error("this class has no characters");
    }
    return chars(std::move(set));
  }

  // Wraps `item` if an operator follows.
  bool repetition(Expr& item) {
    if (take("*")) {
      item = repeat(std::move(item), 0, kUnbounded);
    } else if (take("+")) {
      item = repeat(std::move(item), 1, kUnbounded);
    } else if (take("?")) {
      item = repeat(std::move(item), 0, 1);
    } else if (take("{")) {
      skip_blanks(false);
      const int min = peek() == ',' ? 0 : count();
      int max = min;
      skip_blanks(false);
      if (take(",")) {
        skip_blanks(false);
        max = peek() == '}' ? kUnbounded : count();
        skip_blanks(false);
      }
      if (peek() != '}') expected("',' or '}'");
      if (max != kUnbounded && max < min) error(fmt::format("{} is less than {}", max, min));
      ++at_;
      item = repeat(std::move(item), min, max);
    } else {
      return false;
    }
    return true;
  }

  int count() {
    if (!is_digit(peek())) expected("a count");
    int value = 0;
    for (; is_digit(peek()); ++at_) {
      value = value * 10 + (peek() - '0');
      if (value > kMaxRepetition)
        error(fmt::format("more than {} repetitions are too many", kMaxRepetition));
    }
    return value;
  }

  std::string_view text_;
  size_t at_ = 0;
  Syntax syntax_;
  std::unordered_map<std::string_view, uint32_t> index_;
  std::vector<bool> defined_;
  std::vector<size_t> first_use_;
};

}  // namespace

Syntax parse_gbnf(std::string_view text) {
  return Parser(text).parse();
}

}  // namespace tessera::grammar
