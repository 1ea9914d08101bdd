// The syntax tree of a grammar: what the GBNF parser and the JSON schema translator write, and what
// Grammar compiles.
#pragma once

#include <bitset>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tessera::grammar {

inline constexpr uint32_t kMaxCodePoint = 0x10FFFF;

// A set of Unicode characters.
class CharSet {
 public:
  CharSet() = default;
  CharSet(std::initializer_list<std::pair<uint32_t, uint32_t>> ranges) : ranges_(ranges) {
    normalize();
  }
  explicit CharSet(std::vector<std::pair<uint32_t, uint32_t>> ranges) : ranges_(std::move(ranges)) {
    normalize();
  }
  static CharSet all() { return {{0, kMaxCodePoint}}; }

  void add(uint32_t first, uint32_t last);  // both included
  void add(const CharSet& other);
  CharSet complement() const;
  CharSet minus(const CharSet& other) const;
  bool contains(uint32_t c) const;
  bool empty() const { return ranges_.empty(); }
  // Ascending, neither touching nor overlapping.
  const std::vector<std::pair<uint32_t, uint32_t>>& ranges() const { return ranges_; }

 private:
  void normalize();
  std::vector<std::pair<uint32_t, uint32_t>> ranges_;
};

inline constexpr int kUnbounded = -1;

struct Expr {
  enum class Kind { kLiteral, kChars, kSequence, kChoice, kRepeat, kRule, kStates, kAnyOrder };
  // Of kStates: items[i] leads from one state to another.
  struct Step {
    uint32_t from, to;
  };
  Kind kind = Kind::kLiteral;
  std::string literal = {};      // bytes; empty: the empty text
  CharSet chars = {};            // one of these characters
  std::vector<Expr> items = {};  // of a sequence or a choice; the one that a repeat repeats
  int min = 0, max = 0;          // of a repeat; how many of kAnyOrder
  uint32_t rule = 0;             // index into Syntax::rules
  std::vector<Step> steps = {};
  std::vector<bool> finals = {};    // of each state of kStates, the first of which is the start
  std::vector<bool> required = {};  // of each member of kAnyOrder
};

inline Expr literal(std::string_view bytes) {
  return {.kind = Expr::Kind::kLiteral, .literal = std::string(bytes)};
}
inline Expr chars(CharSet set) {
  return {.kind = Expr::Kind::kChars, .chars = std::move(set)};
}
inline Expr sequence(std::vector<Expr> items) {
  return {.kind = Expr::Kind::kSequence, .items = std::move(items)};
}
// The same, moving what may be large.
template <typename... Items>
Expr sequence_of(Items&&... items) {
  Expr expr{.kind = Expr::Kind::kSequence};
  (expr.items.push_back(std::forward<Items>(items)), ...);
  return expr;
}
inline Expr choice(std::vector<Expr> items) {
  return {.kind = Expr::Kind::kChoice, .items = std::move(items)};
}
inline Expr repeat(Expr item, int min, int max) {
  Expr expr{.kind = Expr::Kind::kRepeat, .min = min, .max = max};
  expr.items.push_back(std::move(item));
  return expr;
}
inline Expr optional(Expr item) {
  return repeat(std::move(item), 0, 1);
}
// Matches nothing, not even the empty text.
inline Expr nothing() {
  return choice({});
}
// Members in any order, each at most once, with `separator` between; `other`, if it is one, any
// number of times once all that are required are there. As many as `min` to `max`: `other` counts
// once towards the former, since it may say the same again, and every time towards the latter. No
// member is empty.
struct AnyOrder {
  Expr separator;
  std::vector<Expr> members = {};
  std::vector<bool> required = {};  // of each member
  std::vector<Expr> other = {};
  int min = 0, max = kUnbounded;
};
inline Expr any_order(AnyOrder of) {
  Expr expr{.kind = Expr::Kind::kAnyOrder, .min = of.min, .max = of.max};
  expr.required = std::move(of.required);
  expr.items.push_back(std::move(of.separator));
  for (Expr& member : of.members) expr.items.push_back(std::move(member));
  for (Expr& other : of.other) expr.items.push_back(std::move(other));
  return expr;
}
inline Expr call(uint32_t rule) {
  return {.kind = Expr::Kind::kRule, .rule = rule};
}

struct Rule {
  std::string name;
  Expr body = {};
};

struct Syntax {
  std::vector<Rule> rules;
  uint32_t root = 0;
};

// Moves the rules of `part` behind those of `whole`; returns what its root is there.
uint32_t append_rules(Syntax& whole, Syntax part);

using ByteSet = std::bitset<256>;
struct ByteRange {
  uint8_t first, last;
};
// The sequences of byte ranges that are the UTF-8 of the characters `first` to `last`; surrogates,
// which UTF-8 has no form for, are left out.
std::vector<std::vector<ByteRange>> utf8_sequences(uint32_t first, uint32_t last);

}  // namespace tessera::grammar
