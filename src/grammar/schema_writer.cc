#include "grammar/schema_writer.h"

#include <algorithm>
#include <iterator>

#include "base/error.h"
#include "base/printable.h"
#include "grammar/json_values.h"
#include "grammar/schema_budget.h"

namespace tessera::grammar {
namespace {

constexpr size_t kMaxSchemaRules = 20'000;
// Longer strings than this are not generated, unless they must be.
constexpr size_t kMaxCharacters = 100'000;
// States of a language whose texts are limited in length: what takes more is limited to less.
constexpr size_t kMaxLimitedStates = 10'000;

Expr characters(size_t min, std::optional<size_t> max) {
  return repeat(json_character(), static_cast<int>(min), max ? static_cast<int>(*max) : kUnbounded);
}

std::string nothing_valid(const char* left_out) {
  if (left_out == nullptr) return "nothing is valid here: the keywords contradict each other";
  return fmt::format("all that is valid here takes a negation of '{}', which is not supported",
                     left_out);
}

}  // namespace

Syntax SchemaWriter::write() {
  const Claims root = {shapes_.root()};
  if (std::ranges::all_of(shapes_.of(root), [](const Shape& s) { return s.meant() == 0; }))
    shapes_.refuse(root, nothing_valid(shapes_.left_out(root)));
  value(root, "#");
  syntax_.root = rules_.at(root);
  while (!pending_.empty()) {
    const auto [rule, claims] = std::move(pending_.back());
    pending_.pop_back();
    Expr made = body(claims);
    syntax_.rules[rule].body = std::move(made);
  }
  return std::move(syntax_);
}

// --- rules ---------------------------------------------------------------------------------------

uint32_t SchemaWriter::new_rule(std::string name, Expr body) {
  if (syntax_.rules.size() == kMaxSchemaRules) fail("json_schema: too large");
  SchemaBudget::spend(Cost::kSyntax, 1);
  syntax_.rules.push_back({std::move(name), std::move(body)});
  return static_cast<uint32_t>(syntax_.rules.size() - 1);
}

// For an expression that is to stand in several places: copies of copies would be without number.
Expr SchemaWriter::named(std::string name, Expr expr) {
  return expr.kind == Expr::Kind::kRule ? expr : call(new_rule(std::move(name), std::move(expr)));
}

// One of the rules that many schemas share, made when it is first needed.
template <typename Body>
Expr SchemaWriter::shared(const char* name, Body body) {
  const auto [found, is_new] = shared_.emplace(name, 0);
  if (is_new) {
    const uint32_t rule = found->second = new_rule(name);
    Expr made = body();  // may need this very rule
    syntax_.rules[rule].body = std::move(made);
  }
  return call(shared_[name]);
}

Expr SchemaWriter::space() {
  return shared("space", [] { return json_space(); });
}

Expr SchemaWriter::any_string() {
  return shared("string", [] {
    return sequence({literal("\""), characters(0, std::nullopt), literal("\"")});
  });
}

Expr SchemaWriter::any_number() {
  return shared("number", [] { return json_number(); });
}

Expr SchemaWriter::any_value() {
  return shared("value", [this] {
    return choice({shared("object", [this] { return objects({}, {}); }),
                   shared("array", [this] { return arrays({}, {}); }), any_string(), any_number(),
                   literal("true"), literal("false"), literal("null")});
  });
}

// --- values --------------------------------------------------------------------------------------

Expr SchemaWriter::value(const Claims& claims, std::string_view name) {
  if (claims.empty()) return any_value();
  const auto [found, is_new] = rules_.emplace(claims, 0);
  if (is_new) {
    found->second = new_rule(printable(name));
    pending_.push_back({found->second, claims});
  }
  return call(found->second);
}

Expr SchemaWriter::body(const Claims& claims) {
  std::vector<Expr> parts;
  Types whole = 0;  // types of which any value is already there
  const auto add_whole = [&](Types type, Expr expr) {
    if (whole & type) return;
    whole = static_cast<Types>(whole | type);
    parts.push_back(std::move(expr));
  };
  std::vector<const StringShape*> texts;
  std::vector<const NumberSet*> sets;
  std::array<bool, 2> booleans{};
  for (const Shape& shape : shapes_.of(claims)) {
    const Types types = shape.meant();
    if (types == kAllTypes && shape.is_any()) return any_value();
    if (types & kNull) add_whole(kNull, literal("null"));
    for (size_t i = 0; i < 2; ++i)
      booleans[i] = booleans[i] || ((types & kBoolean) && shape.booleans[i]);
    if (types & kNumber) sets.push_back(&shape.numbers);
    if (types & kString) texts.push_back(&shape.strings);
    if (types & kArray) parts.push_back(arrays(shape.arrays.value_or(ArrayShape()), claims));
    if (types & kObject) parts.push_back(objects(shape.objects.value_or(ObjectShape()), claims));
  }
  if (booleans[1]) parts.push_back(literal("true"));
  if (booleans[0]) parts.push_back(literal("false"));
  if (std::ranges::any_of(texts, &StringShape::is_all)) {
    parts.push_back(any_string());
  } else {
    for (const StringShape* shape : texts) parts.push_back(strings(*shape));
  }
  if (std::ranges::any_of(sets, &NumberSet::is_all)) {
    parts.push_back(any_number());
  } else {
    for (const NumberSet* set : sets) parts.push_back(numbers(*set));
  }
  return choice(std::move(parts));
}

Expr SchemaWriter::strings(const StringShape& shape) {
  if (shape.min > kMaxCharacters)
    fail("json_schema: strings of at least {} characters are not supported, of {} they are",
         shape.min, kMaxCharacters);
  std::optional<size_t> max = shape.max;
  if (max) max = std::min(*max, kMaxCharacters);
  if (!shape.language) return sequence_of(literal("\""), characters(shape.min, max), literal("\""));
  const Language& language = *shape.language;
  if (language.empty()) return nothing();
  const std::optional<size_t> longest = language.longest();
  if (longest && max && *longest <= *max) max = std::nullopt;
  if (shape.min <= language.shortest() && !max) return quoted(language);
  if (max) {
    const size_t fits = language.length_within(kMaxLimitedStates, *max);
    max = std::min(*max, std::max({shape.min, language.shortest(), fits}));
  }
  return quoted(language & Language::of_lengths(shape.min, max));
}

Expr SchemaWriter::quoted(const Language& language) {
  Expr text = json_text(language,
                        [this](Expr expr) { return call(new_rule("character", std::move(expr))); });
  return sequence_of(literal("\""), std::move(text), literal("\""));
}

Expr SchemaWriter::numbers(const NumberSet& set) {
  NumberSet beside_whole = set;
  beside_whole.whole = false;
  if (beside_whole.is_all()) return shared("integer", [] { return json_integer(); });
  return plain_text(number_language(set));
}

}  // namespace tessera::grammar
