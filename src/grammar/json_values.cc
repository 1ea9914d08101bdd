#include "grammar/json_values.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "grammar/schema_budget.h"

namespace tessera::grammar {
namespace {

const CharSet kDigit = {{'0', '9'}};
const CharSet kHex = {{'0', '9'}, {'a', 'f'}, {'A', 'F'}};
// What stands for itself within a string.
const CharSet kPlain = CharSet({{0x20, kMaxCodePoint}}).minus({{'"', '"'}, {'\\', '\\'}});
constexpr int kDigits = 16;

Expr digits(int min, int max) {
  return repeat(chars(kDigit), min, max);
}

Expr fraction() {
  return sequence({literal("."), digits(1, kDigits)});
}

Expr any_magnitude() {
  return choice({literal("0"), sequence({chars({{'1', '9'}}), digits(0, kDigits - 1)})});
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
  if (set.ranges() == CharSet::all().ranges()) return json_character();
  const CharSet plain = set.minus(kPlain.complement());
  if (plain.ranges() == set.ranges()) return chars(plain);
  std::vector<Expr> parts;
  if (!plain.empty()) parts.push_back(chars(plain));
  CharSet letters, low, high;  // of escapes: \n, \u000f, \u001f
  for (const auto& [first, last] : set.ranges()) {
    for (uint32_t c = first; c <= std::min<uint32_t>(last, '\\'); ++c) {
      if (kPlain.contains(c)) continue;
      const std::string escaped = json_escaped(std::string(1, static_cast<char>(c)));
      const auto digit = static_cast<uint8_t>(escaped.back());
      (escaped.size() == 2 ? letters : c < 0x10 ? low : high).add(digit, digit);
    }
  }
  if (!letters.empty()) parts.push_back(sequence({literal("\\"), chars(letters)}));
  if (!low.empty()) parts.push_back(sequence({literal("\\u000"), chars(low)}));
  if (!high.empty()) parts.push_back(sequence({literal("\\u001"), chars(high)}));
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

namespace {

template <typename Label>
Expr states_of(const Language& language, Label label) {
  const std::vector<bool> live = language.live();
  if (!live[0]) return nothing();
  std::vector<uint32_t> numbers(live.size());
  Expr expr{.kind = Expr::Kind::kStates};
  for (size_t state = 0; state < live.size(); ++state) {
    if (!live[state]) continue;
    numbers[state] = static_cast<uint32_t>(expr.finals.size());
    expr.finals.push_back(language.states()[state].accepts);
  }
  for (size_t state = 0; state < live.size(); ++state) {
    if (!live[state]) continue;
    std::map<uint32_t, std::vector<std::pair<uint32_t, uint32_t>>> ranges;  // by target
    const auto& edges = language.states()[state].edges;
    for (size_t i = 0; i < edges.size(); ++i) {
      const uint32_t last = i + 1 < edges.size() ? edges[i + 1].first - 1 : kMaxCodePoint;
      if (live[edges[i].target]) ranges[edges[i].target].emplace_back(edges[i].first, last);
    }
    for (auto& [target, of_target] : ranges) {
      SchemaBudget::spend(Cost::kSyntax, 1 + of_target.size() / 16);
      expr.items.push_back(label(CharSet(std::move(of_target))));
      expr.steps.push_back({numbers[state], numbers[target]});
    }
  }
  return expr;
}

}  // namespace

Expr json_text(const Language& language, FunctionRef<Expr(Expr)> outlined) {
  constexpr size_t kFew = 32;
  std::map<std::vector<std::pair<uint32_t, uint32_t>>, Expr> known;
  return states_of(language, [&](const CharSet& set) {
    const bool ascii = set.ranges().empty() || set.ranges().back().second < 0x80;
    if (language.states().size() <= kFew || (ascii && set.ranges().front().first > '"'))
      return json_characters(set);
    const auto [found, is_new] = known.try_emplace(set.ranges());
    if (is_new) found->second = outlined(json_characters(set));
    return found->second;
  });
}

Expr unescaped_text(const Language& language) {
  return states_of(language,
                   [](const CharSet& set) { return chars(set.minus(kPlain.complement())); });
}

Expr plain_text(const Language& language) {
  return states_of(language, [](const CharSet& set) { return chars(set); });
}

}  // namespace tessera::grammar
