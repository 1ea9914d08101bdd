#include "text/oniguruma.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/error.h"
#include "base/printable.h"
#include "base/utf8.h"
#include "text/character_sets.h"
#include "text/regex.h"

namespace tessera {
namespace {

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_hex_digit(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

// Sets of characters are nested, and expressions of strangers could be so deeply.
constexpr int kMaxDepth = 64;
constexpr size_t kMaxPatternBytes = 64 * 1024;

class Translator {
 public:
  explicit Translator(std::string_view pattern) : pattern_(pattern) {}

  std::string translate() {
    if (pattern_.size() > kMaxPatternBytes) {
      fail("an expression of {} bytes, at most {} expected", pattern_.size(), kMaxPatternBytes);
    }
    while (!at_end()) translate_next();
    return std::move(out_);
  }

 private:
  // A set: of the characters of `items`, as between brackets, or of one of the `others`, which are
  // patterns for one character.
  struct Set {
    std::string items;
    std::vector<std::string> others;
  };

  bool at_end() const { return at_ == pattern_.size(); }
  char peek() const { return at_end() ? '\0' : pattern_[at_]; }
  bool follows(std::string_view text) const { return pattern_.substr(at_).starts_with(text); }
  bool take(std::string_view text) {
    if (!follows(text)) return false;
    at_ += text.size();
    return true;
  }
  std::string_view take_character() {
    const size_t length = std::min(utf8_length_from_lead(pattern_[at_]), pattern_.size() - at_);
    at_ += length;
    return pattern_.substr(at_ - length, length);
  }

  [[noreturn]] void refuse(std::string_view what) const {
    fail("the expression '{}' has {} before its byte {}, which is not supported",
         printable(pattern_, 400), what, at_);
  }

  void translate_next() {
    const char c = peek();
    if (c == '(') {
      groups_.push_back(out_.size());
      take_group();
      return;
    }
    if (c == ')') {
      ++at_;
      if (groups_.empty()) refuse("a ) too many");
      atom_ = groups_.back();
      groups_.pop_back();
      out_ += ')';
      return;
    }
    if (c == '|') {
      ++at_;
      out_ += '|';
      atom_.reset();
      return;
    }
    if (c == '*' || c == '+' || c == '?') {
      out_ += pattern_[at_++];
      if (peek() == '+' || peek() == '?') out_ += pattern_[at_++];
      return;
    }
    if (c == '{' && take_interval()) return;
    atom_ = out_.size();
    if (c == '[') {
      ++at_;
      out_ += take_set(0);
    } else if (c == '\\') {
      ++at_;
      take_escape();
    } else if (take("^")) {
      out_ += "(?m:^)";  // of a line, always
    } else if (take("$")) {
      out_ += "(?m:$)";
    } else if (c == '{' || c == '}' || c == ']') {
      out_.append("\\").append(take_character());
    } else {
      out_ += take_character();
    }
  }

  // "(?:", "(?<name>", "(?i)", ... : the same in both, but for their options' letters.
  void take_group() {
    ++at_;
    out_ += '(';
    atom_.reset();
    if (!take("?")) return;
    if (take("#")) refuse("a comment");
    out_ += '?';
    for (const std::string_view same : {":", "=", "!", ">", "<=", "<!", "<"}) {
      if (take(same)) {
        out_ += same;
        return;
      }
    }
    bool on = true;
    while (peek() != ':' && peek() != ')') {
      const char letter = peek();
      ++at_;
      if (letter == '-' && on) {
        on = false;
        out_ += '-';
      } else if (letter == 'i') {
        out_ += 'i';
      } else if (letter == 'm') {
        out_ += 's';  // a dot is a line break, too
      } else {
        refuse("a group of an unknown kind");
      }
    }
    if (take(":")) out_ += ':';
  }

  // "{2,3}", and nothing else that begins with a brace. What follows it is another repetition in
  // Oniguruma (but "?" behind a range makes it lazy).
  bool take_interval() {
    size_t end = at_ + 1;
    const auto digits = [&] {
      const size_t begin = end;
      while (end < pattern_.size() && is_digit(pattern_[end])) ++end;
      return pattern_.substr(begin, end - begin);
    };
    const std::string_view least = digits();
    std::string_view most = least;
    const bool is_range = end < pattern_.size() && pattern_[end] == ',';
    if (is_range) {
      ++end;
      most = digits();
    }
    if (end == pattern_.size() || pattern_[end] != '}' || (least.empty() && most.empty()))
      return false;
    at_ = end + 1;
    if (!atom_) refuse("a repetition of nothing");
    out_ += fmt::format("{{{}{}{}}}", least.empty() ? "0" : least, is_range ? "," : "",
                        is_range ? most : "");
    if (is_range && take("?")) {
      out_ += '?';
    } else if (peek() == '+' || peek() == '?' || peek() == '*') {
      out_.insert(*atom_, "(?:");
      out_ += ')';
    }
    return true;
  }

  // Behind a backslash, outside of brackets.
  void take_escape() {
    if (at_end()) refuse("a backslash at the end");
    const char c = peek();
    Set set;
    if (c == 'w' || c == 'W') {
      ++at_;
      out_ += fmt::format("[{}{}]", c == 'W' ? "^" : "", word_set_outside());
      return;
    }
    if (take_class(set)) {
      out_ += written(set, false);
      return;
    }
    if (c == 'b' || c == 'B') {
      ++at_;
      const std::string letter = fmt::format("[{}]", word_set_outside());
      out_ += c == 'b' ? fmt::format("(?:(?<={0})(?!{0})|(?<!{0})(?={0}))", letter)
                       : fmt::format("(?:(?<={0})(?={0})|(?<!{0})(?!{0}))", letter);
    } else if (c == 'A' || c == 'z' || c == 'Z' || c == 'G' || c == 'R' || c == 'N' || c == 'K') {
      ++at_;
      out_.append("\\").append(1, c);
    } else if (c == 'O') {
      ++at_;
      out_ += "(?s:.)";
    } else if (c >= '1' && c <= '9') {
      ++at_;
      if (is_digit(peek())) refuse("a number of two digits behind a backslash");
      out_.append("\\").append(1, c);
    } else {
      out_ += take_literal();
    }
  }

  // A class of characters by its letter or name, behind a backslash.
  bool take_class(Set& set) {
    const char c = peek();
    switch (c) {
      case 's':
        set.items += kSpace;
        break;
      case 'S':
        set.items += kNoSpace;
        break;
      case 'd':
        set.items += of_category("Nd");
        break;
      case 'D':
        set.others.push_back(fmt::format("[^{}]", of_category("Nd")));
        break;
      case 'w':
        set.items += word_set();
        break;
      case 'W':
        set.others.push_back(fmt::format("[^{}]", word_set()));
        break;
      case 'h':
        set.items += kHexDigit;
        break;
      case 'H':
        set.others.push_back(fmt::format("[^{}]", kHexDigit));
        break;
      case 'p':
      case 'P':
        if (at_ + 1 < pattern_.size() && pattern_[at_ + 1] == '{') {
          take_property(set, c == 'P');
          return true;
        }
        return false;
      default:
        return false;
    }
    ++at_;
    return true;
  }

  void take_property(Set& set, bool negated) {
    at_ += 2;
    if (take("^")) negated = !negated;
    const size_t end = pattern_.find('}', at_);
    if (end == std::string_view::npos) refuse("a property without an end");
    const std::string_view name = pattern_.substr(at_, end - at_);
    at_ = end + 1;
    add_named(set, name, negated);
  }

  void add_named(Set& set, std::string_view name, bool negated) {
    std::string plain;
    for (const char c : name) {
      if (c == ' ' || c == '_' || c == '-') continue;
      if (!is_letter(c) && !is_digit(c)) refuse("a property of an odd name");
      plain += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
    std::string known = named_set(plain);
    const bool is_category = plain.size() <= 2;
    if (is_category && Regex::is_valid(fmt::format("\\p{{{}}}", name))) {
      plain[0] = static_cast<char>(plain[0] - 'a' + 'A');
      known = of_category(plain);
    }
    if (!known.empty()) {
      if (negated) {
        set.others.push_back(fmt::format("[^{}]", known));
      } else {
        set.items += known;
      }
      return;
    }
    // A script (PCRE2's plain name of one has the characters that others share with it, too), else
    // a property that is true or false.
    for (const std::string_view prefix : {"sc:", ""}) {
      const std::string property = fmt::format("\\{}{{{}{}}}", negated ? 'P' : 'p', prefix, name);
      if (!Regex::is_valid(property)) continue;
      set.items += property;
      return;
    }
    refuse("a property of an unknown name");
  }

  // One character behind a backslash, written so that it is itself in and outside of brackets.
  std::string take_literal() {
    const char c = peek();
    if (take("x{")) return take_code(pattern_.find('}', at_), true);
    if (take("x")) return take_code(at_ + 2, false);
    if (take("u")) return take_code(at_ + 4, false);
    if (c == 'v') {
      ++at_;
      return "\\x{b}";
    }
    if (c == '0' || is_digit(c)) refuse("an octal number");
    if (c == 'c' || c == 'C' || c == 'M' || c == 'X' || c == 'g' || c == 'k' || c == 'y' ||
        c == 'Y' || c == 'Q')
      refuse("an escape of an unknown kind");
    const std::string_view character = take_character();
    if (c == 't' || c == 'n' || c == 'r' || c == 'f' || c == 'a' || c == 'e')
      return fmt::format("\\{}", c);
    return literal(character);
  }

  std::string take_code(size_t end, bool in_braces) {
    const size_t length = end == std::string_view::npos ? 0 : end - at_;
    if (end > pattern_.size() || length == 0 || length > 6) refuse("a malformed number");
    uint32_t code = 0;
    for (const char c : pattern_.substr(at_, length)) {
      if (!is_hex_digit(c)) refuse("a malformed number");
      code = code * 16 + static_cast<uint32_t>(is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    at_ = end + (in_braces ? 1 : 0);
    if (length == 2 && !in_braces && code > 0x7F) refuse("a byte by its number");
    if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) refuse("a number of no character");
    return fmt::format("\\x{{{:x}}}", code);
  }

  static std::string literal(std::string_view character) {
    const char c = character[0];
    const bool plain = is_letter(c) || is_digit(c) || static_cast<unsigned char>(c) >= 0x80 ||
                       static_cast<unsigned char>(c) <= ' ';
    return plain ? std::string(character) : fmt::format("\\{}", character);
  }

  // Behind an opening bracket: all of the set, as a pattern for one character.
  std::string take_set(int depth) {
    if (depth == kMaxDepth) refuse("sets nested too deeply");
    const bool negated = take("^");
    std::vector<Set> sides(1);  // of &&
    bool first = true;
    bool can_begin_range = false;
    while (true) {
      if (at_end()) refuse("a set without an end");
      Set& set = sides.back();
      if (peek() == ']' && !first) {
        ++at_;
        break;
      }
      first = false;
      if (take("&&")) {
        sides.emplace_back();
        can_begin_range = false;
      } else if (follows("[:")) {
        take_posix(set);
        can_begin_range = false;
      } else if (take("[")) {
        set.others.push_back(take_set(depth + 1));
        can_begin_range = false;
      } else if (take("-")) {
        // Between two characters it is a range, elsewhere itself.
        const bool is_range = can_begin_range && !at_end() && peek() != ']' && peek() != '[' &&
                              !follows("&&") && !is_class_ahead();
        if (is_range) {
          set.items.append("-").append(take_set_character());
        } else {
          set.items += "\\-";
        }
        can_begin_range = false;
      } else if (take("\\")) {
        if (at_end()) refuse("a backslash at the end");
        can_begin_range = !take_class(set);
        if (can_begin_range) set.items += take_escaped_in_set();
      } else {
        set.items += literal(take_character());
        can_begin_range = true;
      }
    }
    std::string last = written(sides.back(), sides.size() == 1 && negated);
    if (sides.size() == 1) return last;
    for (size_t i = 0; i + 1 < sides.size(); ++i)
      last.insert(0, fmt::format("(?={})", written(sides[i], false)));
    return negated ? fmt::format("(?:(?!{})(?s:.))", last) : fmt::format("(?:{})", last);
  }

  bool is_class_ahead() {
    if (peek() != '\\' || at_ + 1 == pattern_.size()) return false;
    const size_t before = at_++;
    Set ignored;
    const bool is_class = take_class(ignored);
    at_ = before;
    return is_class;
  }

  std::string take_set_character() {
    if (!take("\\")) return literal(take_character());
    if (at_end()) refuse("a backslash at the end");
    return take_escaped_in_set();
  }

  std::string take_escaped_in_set() { return take("b") ? "\\x{8}" : take_literal(); }

  void take_posix(Set& set) {
    const size_t end = pattern_.find(":]", at_);
    if (end == std::string_view::npos) refuse("a set without an end");
    std::string_view name = pattern_.substr(at_ + 2, end - at_ - 2);
    const bool negated = name.starts_with('^');
    if (negated) name.remove_prefix(1);
    at_ = end + 2;
    add_named(set, name, negated);
  }

  static std::string written(const Set& set, bool negated) {
    if (set.others.empty()) {
      if (set.items.empty()) return negated ? "(?s:.)" : "(?!)";
      return fmt::format("[{}{}]", negated ? "^" : "", set.items);
    }
    std::string either;
    if (!set.items.empty()) either = fmt::format("[{}]", set.items);
    for (const std::string& other : set.others) {
      if (!either.empty()) either += '|';
      either += other;
    }
    return negated ? fmt::format("(?:(?!{})(?s:.))", either) : fmt::format("(?:{})", either);
  }

  std::string_view pattern_;
  size_t at_ = 0;
  std::string out_;
  std::vector<size_t> groups_;  // where the groups begin in out_ that are open
  std::optional<size_t> atom_;  // where what a repetition repeats begins in out_
};

}  // namespace

std::string pcre2_from_oniguruma(std::string_view pattern) {
  return "(*LF)" + Translator(pattern).translate();
}

std::string pcre2_from_text(std::string_view text) {
  std::string pattern;
  for (const char c : text) {
    // The bytes of other characters, letters and digits stand for themselves.
    const bool plain = is_letter(c) || is_digit(c) || static_cast<unsigned char>(c) >= 0x80;
    if (c == '\0') {
      pattern += "\\x{0}";
    } else if (plain || static_cast<unsigned char>(c) <= ' ') {
      pattern += c;
    } else {
      pattern.append("\\").append(1, c);
    }
  }
  return pattern;
}

}  // namespace tessera
