// Arrays of JSON schemas.
#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "grammar/json_values.h"
#include "grammar/schema_budget.h"
#include "grammar/schema_writer.h"

namespace tessera::grammar {
namespace {

constexpr size_t kMaxItems = 100'000;
constexpr size_t kMaxCounts = 6;  // things that are counted in one array
constexpr size_t kMaxArrayStates = 50'000;
constexpr size_t kMaxDistinct = 256;  // values that can be told apart

}  // namespace

// An automaton whose states are how many items there are and how many of each kind that is counted,
// as far as it matters.
Expr SchemaWriter::arrays(const ArrayShape& shape, const Claims& of) {
  const auto brackets = [this](Expr items) {
    return sequence_of(literal("["), space(), std::move(items), space(), literal("]"));
  };
  if (shape.unique && shape.max.value_or(2) > 1) return brackets(unique_items(shape, of));
  if (shape.min > kMaxItems)
    shapes_.refuse(of, fmt::format("arrays of more than {} items are not supported", kMaxItems));
  if (shape.counts.size() > kMaxCounts)
    shapes_.refuse(of, fmt::format("more than {} kinds of items to count", kMaxCounts));
  const size_t most = std::min(shape.max.value_or(kMaxItems), kMaxItems);
  // From here on all items are alike.
  const size_t last = std::max({shape.min, shape.max ? most : 0, shape.prefix.size() + 1});

  struct State {
    size_t items;
    std::vector<size_t> counts;
    auto operator<=>(const State&) const = default;
  };
  Expr expr{.kind = Expr::Kind::kStates};
  std::map<State, uint32_t> numbers;
  std::vector<State> states;
  const auto number_of = [&](const State& state) {
    const auto [at, is_new] = numbers.emplace(state, static_cast<uint32_t>(states.size()));
    if (is_new) states.push_back(state);
    if (states.size() > kMaxArrayStates + kMaxItems) shapes_.refuse(of, "too many items to count");
    return at->second;
  };
  std::map<std::pair<bool, Claims>, Expr> labels;
  const auto item = [&](bool is_first, const Claims& claims) {
    const auto [at, is_new] = labels.try_emplace({is_first, claims});
    if (is_new) {
      Expr one = value(claims, "item");
      at->second = is_first ? one : named("item", sequence({comma(), std::move(one)}));
    }
    return at->second;
  };
  number_of({0, std::vector<size_t>(shape.counts.size())});
  for (uint32_t i = 0; i < states.size(); ++i) {
    const State state = states[i];
    bool final = state.items >= shape.min;
    for (size_t k = 0; k < shape.counts.size(); ++k)
      final = final && state.counts[k] >= shape.counts[k].min;
    expr.finals.push_back(final);
    if (shape.max && state.items >= most) continue;
    // Each subset of what is counted may hold for the next item.
    for (size_t subset = 0; subset < size_t{1} << shape.counts.size(); ++subset) {
      SchemaBudget::spend(Cost::kSyntax, 1);
      State next{std::min(state.items + 1, last), state.counts};
      Claims claims = shape.at(state.items);
      bool possible = true;
      for (size_t k = 0; k < shape.counts.size(); ++k) {
        const ArrayShape::Count& count = shape.counts[k];
        if ((subset >> k & 1) != 0) {
          add_claims(claims, count.claims);
          next.counts[k] = std::min(next.counts[k] + 1, count.max.value_or(count.min) + 1);
          if (!count.max) next.counts[k] = std::min(next.counts[k], count.min);
          possible = possible && (!count.max || next.counts[k] <= *count.max);
        } else if (count.max) {
          possible = possible && count.claims.size() == 1;  // else it is no one claim's opposite
          for (const Claim& claim : count.claims) add_claim(claims, {claim.schema, !claim.holds});
        }
      }
      if (!possible || is_hopeless(claims)) continue;
      expr.steps.push_back({i, number_of(next)});
      expr.items.push_back(item(state.items == 0, claims));
    }
  }
  return brackets(std::move(expr));
}

// Items that are all different: of a few values, each at most once.
Expr SchemaWriter::unique_items(const ArrayShape& shape, const Claims& of) {
  std::vector<Expr> values;
  if (shape.prefix.empty() && shape.counts.empty())
    values = distinct_values(shape.rest, kMaxDistinct);
  if (values.empty())
    shapes_.refuse(of, "'uniqueItems' is not supported but for items of an enum, nothing beside");
  SchemaBudget::spend(Cost::kSyntax, values.size());
  AnyOrder items{.separator = comma(), .required = std::vector<bool>(values.size())};
  items.members = std::move(values);
  items.min = static_cast<int>(std::min(shape.min, items.members.size() + 1));
  if (shape.max && *shape.max < items.members.size()) items.max = static_cast<int>(*shape.max);
  if (shape.min > items.members.size()) return nothing();
  return any_order(std::move(items));
}

// All values that are in `claims`; none if they are more than `most`, or no scalars.
std::vector<Expr> SchemaWriter::distinct_values(const Claims& claims, size_t most) {
  std::array<bool, 3> words{};                              // null, false, true
  std::map<std::string, std::vector<std::string>> numbers;  // texts by the number
  std::vector<std::string> texts;
  for (const Shape& shape : shapes_.of(claims)) {
    const Types types = shape.meant();
    if (types & (kArray | kObject)) return {};
    words[0] = words[0] || (types & kNull) != 0;
    for (size_t i = 0; i < 2; ++i)
      words[i + 1] = words[i + 1] || ((types & kBoolean) && shape.booleans[i]);
    if (types & kNumber) {
      if (!shape.numbers.among) return {};
      const auto spelled = number_language(shape.numbers).texts(4 * most);
      if (!spelled) return {};
      for (const std::string& text : *spelled) {
        auto& same = numbers[decimal_of(Json::parse(text)).text()];
        if (std::ranges::find(same, text) == same.end()) same.push_back(text);
      }
    }
    if (types & kString) {
      if (!shape.strings.language) return {};
      const std::optional<size_t> longest = shape.strings.language->longest();
      if (!longest) return {};
      const Language lengths = Language::of_lengths(
          shape.strings.min, std::min(*longest, shape.strings.max.value_or(*longest)));
      const auto spelled = (*shape.strings.language & lengths).texts(most);
      if (!spelled) return {};
      for (const std::string& text : *spelled)
        if (std::ranges::find(texts, text) == texts.end()) texts.push_back(text);
    }
  }
  std::vector<Expr> values;
  const char* const spelled[] = {"null", "false", "true"};
  for (size_t i = 0; i < 3; ++i)
    if (words[i]) values.push_back(literal(spelled[i]));
  for (const auto& [number, same] : numbers) {
    std::vector<Expr> either;
    for (const std::string& text : same) either.push_back(literal(text));
    values.push_back(choice(std::move(either)));
  }
  for (const std::string& text : texts)
    values.push_back(literal(fmt::format("\"{}\"", json_escaped(text))));
  if (values.size() > most) values.clear();
  return values;
}

}  // namespace tessera::grammar
