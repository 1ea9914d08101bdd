#include "grammar/json_schema.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "grammar/json_values.h"
#include "grammar/pattern.h"
#include "grammar/schema_merge.h"
#include "grammar/schema_objects.h"

namespace tessera::grammar {
namespace {

constexpr int kMaxSchemaNesting = 64;
constexpr size_t kMaxPrefixItems = 256;
constexpr size_t kMaxSchemaRules = 20'000;

// RFC 3339, months with the days that they have every year.
constexpr const char* kDate =
    R"([0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12]\d|3[01])|(0[469]|11)-(0[1-9]|[12]\d|30)|02-(0[1-9]|1\d|2[0-8])))";
constexpr const char* kTime =
    R"(([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d))";

std::optional<std::string> format_pattern(std::string_view format) {
  if (format == "date") return fmt::format("^{}$", kDate);
  if (format == "time") return fmt::format("^{}$", kTime);
  if (format == "date-time") return fmt::format("^{}T{}$", kDate, kTime);
  if (format == "uuid") return "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$";
  if (format == "ipv4") {
    constexpr const char* kByte = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
    return fmt::format("^{0}(\\.{0}){{3}}$", kByte);
  }
  if (format == "email")
    return "^[a-zA-Z0-9_+-]+(\\.[a-zA-Z0-9_+-]+){0,3}@[a-zA-Z0-9]+(-[a-zA-Z0-9]+){0,3}"
           "(\\.[a-zA-Z0-9]+(-[a-zA-Z0-9]+){0,3}){1,4}$";
  return std::nullopt;
}

class Translator final : public SchemaScope {
 public:
  explicit Translator(const Json& root) : root_(root), merger_(root) {}

  Syntax run() {
    syntax_.root = rule_of("#", root_);
    while (!pending_.empty()) {
      const auto [rule, schema, where] = pending_.back();
      pending_.pop_back();
      Expr body = value(*schema, where);
      syntax_.rules[rule].body = std::move(body);
    }
    return std::move(syntax_);
  }

 private:
  // --- rules ----------------------------------------------------------------------------------
  uint32_t new_rule(std::string name, Expr body = {}) {
    if (syntax_.rules.size() == kMaxSchemaRules) fail("json_schema: too large");
    syntax_.rules.push_back({std::move(name), std::move(body)});
    return static_cast<uint32_t>(syntax_.rules.size() - 1);
  }
  // The rule of a schema that others may refer to; it is translated later.
  uint32_t rule_of(const std::string& where, const Json& schema) {
    const auto [found, is_new] = references_.emplace(where, 0);
    if (is_new) {
      found->second = new_rule(where);
      pending_.push_back({found->second, &schema, printable(where)});
    }
    return found->second;
  }
  // One of the rules that many schemas share, made when it is first needed.
  template <typename Body>
  Expr shared(const char* name, Body body) {
    const auto [found, is_new] = shared_.emplace(name, 0);
    if (is_new) {
      const uint32_t rule = found->second = new_rule(name);
      Expr made = body();  // may need this very rule
      syntax_.rules[rule].body = std::move(made);
    }
    return call(shared_[name]);
  }

  Expr space() override {
    return shared("space", [] { return json_space(); });
  }
  static Expr characters(int min, int max) { return repeat(json_character(), min, max); }
  Expr any_string() override {
    return shared("string", [] {
      return sequence({literal("\""), characters(0, kUnbounded), literal("\"")});
    });
  }
  Expr any_number() {
    return shared("number", [] { return json_number(); });
  }
  Expr any_array() {
    return shared("array", [this] { return list(any_value(), 0, kUnbounded); });
  }
  Expr any_object() {
    return shared("object", [this] { return grammar::any_object(*this); });
  }
  Expr any_value() override {
    return shared("value", [this] {
      return choice({any_object(), any_array(), any_string(), any_number(), literal("true"),
                     literal("false"), literal("null")});
    });
  }

  // --- schemas --------------------------------------------------------------------------------
  Expr value(const Json& schema, const std::string& where) override {
    if (schema == true) return any_value();
    if (schema == false) fail("json_schema: {}: nothing is valid here", where);
    if (!schema.is_object())
      fail("json_schema: {}: expected an object, found {}", where, schema.type_name());
    struct Level {
      explicit Level(int& l) : level(l) { ++level; }
      ~Level() { --level; }
      int& level;
    } const level(nesting_);
    if (nesting_ > kMaxSchemaNesting)
      fail("json_schema: {}: nested more than {} deep", where, kMaxSchemaNesting);
    refuse_unsupported(schema, where);

    if (schema.contains("$ref") && count_assertions(schema) == 1) {
      const Json& reference = schema["$ref"];
      if (!reference.is_string()) fail("json_schema: {}: '$ref' is no string", where);
      return call(rule_of(reference, resolve(root_, reference, where)));
    }
    if (schema.contains("$ref") || schema.contains("allOf"))
      return value(merger_.flatten(schema, where), where);
    for (const char* keyword : {"anyOf", "oneOf"})
      if (schema.contains(keyword)) return alternatives(schema, keyword, where);
    if (schema.contains("const") || schema.contains("enum")) return constants(schema, where);

    const auto types = types_of(schema, where);
    if (types.empty()) return any_value();
    std::vector<Expr> parts;
    for (const std::string& type : types) parts.push_back(value_of_type(schema, type, where));
    return parts.size() == 1 ? std::move(parts[0]) : choice(std::move(parts));
  }

  static size_t count_assertions(const Json& schema) {
    size_t count = 0;
    for (const auto& [keyword, unused] : schema.items()) count += is_assertion(keyword) ? 1 : 0;
    return count;
  }

  Expr alternatives(const Json& schema, const char* keyword, const std::string& where) {
    Json beside = schema;
    beside.erase(keyword);
    const bool alone = count_assertions(beside) == 0;
    const Json& list = schema[keyword];
    if (!list.is_array() || list.empty())
      fail("json_schema: {}: '{}' is no list of schemas", where, keyword);
    std::vector<Expr> parts;
    for (size_t i = 0; i < list.size(); ++i) {
      const std::string place = fmt::format("{}/{}/{}", where, keyword, i);
      if (list[i] == false) continue;
      parts.push_back(alone ? value(list[i], place)
                            : value(merger_.merge(beside, list[i], place), place));
    }
    if (parts.empty()) fail("json_schema: {}: nothing is valid here", where);
    return choice(std::move(parts));
  }

  Expr constants(const Json& schema, const std::string& where) {
    Json values = schema.contains("const") ? Json::array({schema["const"]}) : schema["enum"];
    if (!values.is_array()) fail("json_schema: {}: 'enum' is no list", where);
    for (const auto& [keyword, unused] : schema.items()) {
      if (is_assertion(keyword) && keyword != "enum" && keyword != "const" && keyword != "type" &&
          keyword != "nullable")
        fail("json_schema: {}: keyword '{}' is not supported beside enum or const", where, keyword);
    }
    const auto types = types_of(schema, where);
    std::vector<Expr> parts;
    const bool is_const = schema.contains("const");
    for (const Json& each : values) {
      if (is_const && schema.contains("enum") &&
          std::ranges::find(schema["enum"], each) == schema["enum"].end())
        continue;
      if (types.empty() || std::ranges::any_of(types, [&](const std::string& type) {
            return has_type(each, type);
          })) {
        parts.push_back(literal(each.dump()));
      }
    }
    if (parts.empty()) fail("json_schema: {}: no value of the list is valid", where);
    return choice(std::move(parts));
  }

  static bool has_type(const Json& value, const std::string& type) {
    if (type == "integer") {
      return value.is_number_integer() ||
             (value.is_number() && std::trunc(value.get<double>()) == value.get<double>());
    }
    return type == value.type_name();
  }

  Expr value_of_type(const Json& schema, const std::string& type, const std::string& where) {
    if (type == "null") return literal("null");
    if (type == "boolean") return choice({literal("true"), literal("false")});
    if (type == "string") return string(schema, where);
    if (type == "array") return array(schema, where);
    if (type == "object") return object_of(schema, where, *this);
    return number(schema, type == "integer", where);
  }

  // --- numbers --------------------------------------------------------------------------------
  Expr number(const Json& schema, bool integer, const std::string& where) {
    NumberRange range;
    set_bound(schema, "minimum", false, integer, range, where);
    set_bound(schema, "exclusiveMinimum", true, integer, range, where);
    set_bound(schema, "maximum", false, integer, range, where);
    set_bound(schema, "exclusiveMaximum", true, integer, range, where);
    if (!range.min && !range.max) return integer ? json_integer() : any_number();
    return integer ? json_integer_in(range) : json_number_in(range);
  }

  static void set_bound(const Json& schema, const char* keyword, bool excluded, bool integer,
                        NumberRange& range, const std::string& where) {
    const auto found = schema.find(keyword);
    if (found == schema.end()) return;
    if (!found->is_number()) fail("json_schema: {}: '{}' is no number", where, keyword);
    const bool is_min = std::string_view(keyword).ends_with("inimum");
    double bound = found->get<double>();
    if (bound != std::trunc(bound)) {
      if (!integer)
        fail("json_schema: {}: '{}' of a number is supported for whole numbers only", where,
             keyword);
      bound = is_min ? std::ceil(bound) : std::floor(bound);
      excluded = false;
    }
    if (!(std::abs(bound) <= 999'999'999'999'999.0))
      fail("json_schema: {}: '{}' has more than 15 digits, which is not supported", where, keyword);
    const auto whole = static_cast<int64_t>(bound);
    auto& limit = is_min ? range.min : range.max;
    bool& limit_excluded = is_min ? range.min_excluded : range.max_excluded;
    if (!limit || (is_min ? whole > *limit : whole < *limit)) {
      limit = whole;
      limit_excluded = excluded;
    } else if (whole == *limit) {
      limit_excluded |= excluded;
    }
  }

  // --- strings --------------------------------------------------------------------------------
  Expr string(const Json& schema, const std::string& where) {
    const int min = count_of(schema, "minLength", 0, where);
    const int max = count_of(schema, "maxLength", kUnbounded, where);
    check_order(min, max, "characters", where);
    const bool has_pattern = schema.contains("pattern"), has_format = schema.contains("format");
    if (has_pattern || has_format) {
      if (min > 0 || max != kUnbounded || (has_pattern && has_format))
        fail("json_schema: {}: 'pattern' or 'format' beside another is not supported", where);
      return sequence({literal("\""), pattern(schema, where), literal("\"")});
    }
    if (min == 0 && max == kUnbounded) return any_string();
    return sequence({literal("\""), characters(min, max), literal("\"")});
  }

  static Expr pattern(const Json& schema, const std::string& where) {
    const char* keyword = schema.contains("pattern") ? "pattern" : "format";
    const Json& given = schema[keyword];
    if (!given.is_string()) fail("json_schema: {}: '{}' is no string", where, keyword);
    if (schema.contains("pattern")) return pattern_syntax(given.get_ref<const std::string&>());
    const auto known = format_pattern(given.get_ref<const std::string&>());
    if (!known)
      fail("json_schema: {}: format '{}' is not supported", where,
           printable(given.get_ref<const std::string&>()));
    return pattern_syntax(*known);
  }

  // --- arrays ---------------------------------------------------------------------------------
  Expr array(const Json& schema, const std::string& where) {
    const bool old_prefix = schema.contains("items") && schema["items"].is_array();
    const char* prefix_keyword = old_prefix ? "items" : "prefixItems";
    const char* rest_keyword = old_prefix ? "additionalItems" : "items";
    const Json prefix = schema.value(prefix_keyword, Json::array());
    const Json rest = schema.value(rest_keyword, Json(true));
    if (!prefix.is_array() || prefix.size() > kMaxPrefixItems)
      fail("json_schema: {}: '{}' is no list of at most {} schemas", where, prefix_keyword,
           kMaxPrefixItems);
    int min = count_of(schema, "minItems", 0, where);
    int max = count_of(schema, "maxItems", kUnbounded, where);
    const auto size = static_cast<int>(prefix.size());
    if (rest == false) max = max == kUnbounded ? size : std::min(max, size);
    check_order(min, max, "items", where);
    const auto item = [&] {
      return rest == false ? Expr() : value(rest, where + "/" + rest_keyword);
    };
    if (size == 0) return list(item(), min, max);

    // From the last to the first: an item after those that must be there takes the later ones
    // along.
    const bool more = max == kUnbounded || max > size;
    Expr tail = literal("");
    if (more) {
      tail = repeat(sequence({comma(), item()}), std::max(0, min - size),
                    max == kUnbounded ? kUnbounded : max - size);
    }
    for (int i = std::min(size, max == kUnbounded ? size : max) - 1; i >= 0; --i) {
      const Json& each = prefix[static_cast<size_t>(i)];
      Expr here = value(each, fmt::format("{}/{}/{}", where, prefix_keyword, i));
      std::vector<Expr> parts;
      if (i > 0) parts.push_back(comma());
      parts.push_back(std::move(here));
      parts.push_back(std::move(tail));
      tail = sequence(std::move(parts));
      if (i >= min) tail = optional(std::move(tail));
      if (i % kChain == 0) tail = named("items", std::move(tail));
    }
    return brackets(std::move(tail));
  }

  Expr named(std::string name, Expr expr) override {
    return expr.kind == Expr::Kind::kRule ? expr : call(new_rule(std::move(name), std::move(expr)));
  }

  Expr list(Expr item, int min, int max) {
    item = named("item", std::move(item));
    if (max == 0) return brackets(literal(""));
    Expr further = sequence({comma(), item});
    Expr items = sequence({std::move(item), repeat(std::move(further), std::max(0, min - 1),
                                                   max == kUnbounded ? kUnbounded : max - 1)});
    if (min == 0) items = optional(std::move(items));
    return brackets(std::move(items));
  }
  Expr brackets(Expr items) {
    return sequence({literal("["), space(), std::move(items), space(), literal("]")});
  }

  const Json& root_;
  SchemaMerger merger_;
  Syntax syntax_;
  std::map<std::string, uint32_t> references_, shared_;
  struct Pending {
    uint32_t rule;
    const Json* schema;
    std::string where;
  };
  std::vector<Pending> pending_;
  int nesting_ = 0;
};

}  // namespace

Syntax schema_syntax(std::string_view schema) {
  const Json root = parse_schema(schema);
  try {
    return Translator(root).run();
  } catch (const Json::exception& error) {
    fail("json_schema: {}", printable(error.what(), 200));
  }
}

}  // namespace tessera::grammar
