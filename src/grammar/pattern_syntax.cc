#include "grammar/pattern_syntax.h"

#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "base/utf8.h"

namespace tessera::grammar {
namespace {

constexpr size_t kMaxPattern = 16'384;
constexpr int kMaxPatternNesting = 64;
constexpr int kMaxRepetition = 10'000;

const CharSet kDecimalDigits = {{'0', '9'}};
const CharSet kWord = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
const CharSet kSpace = {{'\t', '\r'},     {' ', ' '},       {0xA0, 0xA0},     {0x1680, 0x1680},
                        {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F},
                        {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
const CharSet kLineEnds = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};

CharSet one(uint32_t c) {
  return {{c, c}};
}

Pattern look(bool behind, bool negative, Pattern at) {
  Pattern result{.kind = Pattern::Kind::kLook, .behind = behind, .negative = negative};
  result.items.push_back(std::move(at));
  return result;
}
Pattern characters(CharSet set) {
  return {.kind = Pattern::Kind::kChars, .chars = std::move(set)};
}
// The text begins, or ends, here.
Pattern edge(bool behind) {
  return look(behind, true, characters(CharSet::all()));
}
// A word begins or ends here, or neither does.
Pattern word_edge(bool negated) {
  Pattern either{.kind = Pattern::Kind::kChoice};
  for (const bool word_before : {false, true}) {
    Pattern both;
    both.items.push_back(look(true, !word_before, characters(kWord)));
    both.items.push_back(look(false, word_before != negated, characters(kWord)));
    either.items.push_back(std::move(both));
  }
  return either;
}

class PatternParser {
 public:
  explicit PatternParser(std::string_view text) : text_(text) {}

  Pattern parse() {
    if (text_.size() > kMaxPattern) error(fmt::format("more than {} bytes", kMaxPattern));
    Pattern all = alternatives(0);
    if (!at_end()) error(fmt::format("'{}' is not expected", printable(text_.substr(at_, 1))));
    return all;
  }

 private:
  bool at_end() const { return at_ == text_.size(); }
  char peek() const { return at_end() ? '\0' : text_[at_]; }
  bool take(char c) {
    if (at_end() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool take(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }
  [[noreturn]] void error(const std::string& what) const {
    fail("json_schema: pattern '{}', at {}: {}", printable(text_, 200), at_ + 1, what);
  }

  Pattern alternatives(int depth) {
    if (depth > kMaxPatternNesting) error("too many groups in groups");
    Pattern choice{.kind = Pattern::Kind::kChoice};
    do {
      choice.items.push_back(terms(depth));
    } while (take('|'));
    return choice.items.size() == 1 ? std::move(choice.items[0]) : choice;
  }

  Pattern terms(int depth) {
    Pattern sequence;
    while (!at_end() && peek() != '|' && peek() != ')') {
      Pattern item = atom(depth);
      quantify(item);
      sequence.items.push_back(std::move(item));
    }
    return sequence;
  }

  Pattern atom(int depth) {
    if (take('^')) return edge(true);
    if (take('$')) return edge(false);
    if (take("\\b")) return word_edge(false);
    if (take("\\B")) return word_edge(true);
    if (take('(')) return group(depth);
    if (take('.')) return characters(kLineEnds.complement());
    if (take('[')) return characters(character_class());
    for (const char c : {'*', '+', '?'})
      if (peek() == c) error(fmt::format("'{}' is not expected", c));
    return characters(single(false));
  }

  Pattern group(int depth) {
    const auto close = [&](Pattern inside) {
      if (!take(')')) error("expected ')'");
      return inside;
    };
    if (take("?=")) return close(look(false, false, alternatives(depth + 1)));
    if (take("?!")) return close(look(false, true, alternatives(depth + 1)));
    if (take("?<=")) return close(look(true, false, alternatives(depth + 1)));
    if (take("?<!")) return close(look(true, true, alternatives(depth + 1)));
    if (take("?<") || take("?P<")) {
      const size_t end = text_.find('>', at_);
      if (end == std::string_view::npos) error("expected '>' after the name of a group");
      at_ = end + 1;
    } else if (peek() == '?' && !take("?:")) {
      error("this kind of group is not supported");
    }
    return close(alternatives(depth + 1));
  }

  void quantify(Pattern& item) {
    int min = 0, max = kUnbounded;
    if (take('?')) {
      max = 1;
    } else if (take('+')) {
      min = 1;
    } else if (begins_count()) {
      ++at_;
      min = max = count();
      if (take(',')) max = peek() == '}' ? kUnbounded : count();
      if (!take('}')) error("expected '}'");
      if (max != kUnbounded && max < min) error("the largest count is less than the smallest");
    } else if (!take('*')) {
      return;
    }
    take('?');  // lazy: the same texts
    Pattern repeat{.kind = Pattern::Kind::kRepeat, .min = min, .max = max};
    repeat.items.push_back(std::move(item));
    item = std::move(repeat);
  }

  // Otherwise a brace stands for itself.
  bool begins_count() const {
    const std::string_view rest = text_.substr(at_);
    return rest.size() > 1 && rest[0] == '{' && rest[1] >= '0' && rest[1] <= '9';
  }

  int count() {
    if (!kDecimalDigits.contains(static_cast<uint8_t>(peek()))) error("expected a count");
    int value = 0;
    while (kDecimalDigits.contains(static_cast<uint8_t>(peek()))) {
      value = value * 10 + (text_[at_++] - '0');
      if (value > kMaxRepetition) error(fmt::format("more than {} repetitions", kMaxRepetition));
    }
    return value;
  }

  CharSet character_class() {
    const bool negated = take('^');
    std::vector<std::pair<uint32_t, uint32_t>> ranges;
    while (!take(']')) {
      if (at_end()) error("expected ']'");
      CharSet first = single(true);
      if (peek() == '-' && at_ + 1 < text_.size() && text_[at_ + 1] != ']') {
        const size_t hyphen = at_++;
        const CharSet last = single(true);
        if (is_one(first) && is_one(last)) {
          if (last.ranges()[0].first < first.ranges()[0].first)
            error("this is no range of characters");
          first = {{first.ranges()[0].first, last.ranges()[0].first}};
        } else {  // as in [\w-.]: the hyphen stands for itself
          at_ = hyphen + 1;
          first.add('-', '-');
        }
      }
      ranges.insert(ranges.end(), first.ranges().begin(), first.ranges().end());
    }
    const CharSet set(std::move(ranges));
    return negated ? set.complement() : set;
  }
  static bool is_one(const CharSet& set) {
    return set.ranges().size() == 1 && set.ranges()[0].first == set.ranges()[0].second;
  }

  // One character, or what an escape like \d stands for.
  CharSet single(bool in_class) {
    if (at_end()) error("expected a character");
    if (!take('\\')) return one(character());
    const char c = peek();
    if (at_end()) error("expected an escape");
    ++at_;
    switch (c) {
      case 'd':
        return kDecimalDigits;
      case 'D':
        return kDecimalDigits.complement();
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
        return one(code_point());
      case 'b':
        if (in_class) return one('\b');
        break;
      case '_':
        return one('_');
      case '0':
        if (!kDecimalDigits.contains(static_cast<uint8_t>(peek()))) return one(0);
        break;
      case 'c':
        if ((peek() | 0x20) >= 'a' && (peek() | 0x20) <= 'z')
          return one(static_cast<uint32_t>(text_[at_++] & 31));
        break;
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
    return value;
  }

  // \uHHHH, two of them for a pair of surrogates, or \u{H...}.
  uint32_t code_point() {
    if (take('{')) {
      uint32_t value = 0;
      do {
        value = value << 4 | hex(1);
        if (value > kMaxCodePoint) error("there is no such character");
      } while (!take('}'));
      return value;
    }
    const uint32_t value = hex(4);
    if (value < 0xD800 || value > 0xDFFF) return value;
    if (value > 0xDBFF || !take("\\u")) error("half a pair of surrogates is not supported");
    const uint32_t low = hex(4);
    if (low < 0xDC00 || low > 0xDFFF) error("half a pair of surrogates is not supported");
    return 0x10000 + ((value - 0xD800) << 10) + (low - 0xDC00);
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

Pattern parse_pattern(std::string_view pattern) {
  return PatternParser(pattern).parse();
}

}  // namespace tessera::grammar
