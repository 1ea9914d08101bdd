#include "grammar/schema_keywords.h"

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "grammar/formats.h"
#include "grammar/pattern.h"

namespace tessera::grammar {
namespace {

bool has_any(const Json& schema, std::initializer_list<const char*> keywords) {
  return std::ranges::any_of(keywords, [&](const char* k) { return schema.contains(k); });
}

std::optional<size_t> optional_count(const SchemaDocument& document, const Json& schema,
                                     const char* keyword) {
  if (!schema.contains(keyword)) return std::nullopt;
  return static_cast<size_t>(count_of(document, schema, keyword, 0));
}

}  // namespace

bool speaks_of(const Json& schema, Types type) {
  switch (type) {
    case kObject:
      return has_any(schema,
                     {"properties", "required", "additionalProperties", "minProperties",
                      "maxProperties", "patternProperties", "propertyNames", "dependentRequired",
                      "dependentSchemas", "dependencies", "unevaluatedProperties"});
    case kArray:
      return has_any(schema, {"items", "prefixItems", "additionalItems", "minItems", "maxItems",
                              "uniqueItems", "contains", "unevaluatedItems"});
    case kString:
      return has_any(schema, {"minLength", "maxLength", "pattern", "format"});
    case kNumber:
      return has_any(schema,
                     {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"});
    default:
      return false;
  }
}

void SchemaKeywords::refuse_at(const Json& schema, const std::string& what) const {
  fail("json_schema: {}: {}", document_.place_of(schema), what);
}

void SchemaKeywords::refuse_unsupported(const Json& schema) const {
  for (const char* keyword : {"$dynamicRef", "$recursiveRef"})
    if (schema.contains(keyword)) refuse(schema, "keyword '{}' is not supported", keyword);
}

Shape SchemaKeywords::shape_of(const Json& schema) {
  refuse_unsupported(schema);
  Shape shape;
  shape.typed = schema.contains("type");
  bool whole = false;
  shape.types = types_of(schema, whole);
  for (const Types type : {kNumber, kString, kArray, kObject})
    if (speaks_of(schema, type)) shape.hinted = static_cast<Types>(shape.hinted | type);
  if (shape.hinted & kNumber) shape.numbers = numbers(schema);
  shape.numbers.whole |= whole;
  if (shape.hinted & kString) shape.strings = strings(schema);
  if (shape.hinted & kArray) {
    shape.arrays = arrays(schema);
    shape.evaluated.items = shape.arrays->prefix.size();
    const bool old_prefix = schema.contains("items") && schema["items"].is_array();
    shape.evaluated.all_items = schema.contains(old_prefix ? "additionalItems" : "items");
  }
  if (shape.hinted & kObject) shape.objects = objects(schema, shape.evaluated);
  return shape;
}

Types SchemaKeywords::types_of(const Json& schema, bool& whole) const {
  const auto given = schema.find("type");
  if (given == schema.end()) return kAllTypes;
  const Json list = given->is_array() ? *given : Json::array({*given});
  if (list.empty()) refuse(schema, "'type' is an empty list");
  unsigned types = 0;
  bool any_number = false;
  for (const Json& type : list) {
    if (type == "null")
      types |= kNull;
    else if (type == "boolean")
      types |= kBoolean;
    else if (type == "string")
      types |= kString;
    else if (type == "array")
      types |= kArray;
    else if (type == "object")
      types |= kObject;
    else if (type == "number")
      types |= kNumber, any_number = true;
    else if (type == "integer")
      types |= kNumber;
    else
      refuse(schema, "there is no type {}", printable(type.dump()));
  }
  whole = (types & kNumber) != 0 && !any_number;
  const auto nullable = schema.find("nullable");  // as in OpenAPI
  if (nullable != schema.end() && *nullable == true) types |= kNull;
  return static_cast<Types>(types);
}

SharedLanguage SchemaKeywords::pattern(const Json& schema, const Json& given) {
  if (!given.is_string()) refuse(schema, "a pattern is no string");
  SharedLanguage& known = patterns_[given.get<std::string>()];
  if (!known)
    known = std::make_shared<const Language>(pattern_language(given.get_ref<const std::string&>()));
  return known;
}

SharedLanguage SchemaKeywords::name(const std::string& name) {
  return std::make_shared<const Language>(Language::of(std::span(&name, 1)).complement());
}

StringShape SchemaKeywords::strings(const Json& schema) {
  StringShape shape;
  shape.min = optional_count(document_, schema, "minLength").value_or(0);
  shape.max = optional_count(document_, schema, "maxLength");
  if (const auto given = schema.find("pattern"); given != schema.end())
    shape.language = shape.wide = pattern(schema, *given);
  if (const auto given = schema.find("format"); given != schema.end()) {
    if (!given->is_string()) refuse(schema, "'format' is no string");
    if (const Format* format = find_format(given->get_ref<const std::string&>())) {
      const SharedLanguage language(SharedLanguage(), &format->language);  // is kept for good
      shape.language = meet(shape.language, language);
      if (format->exact) shape.wide = meet(shape.wide, language);
    }
  }
  return shape;
}

std::optional<NumberSet::Bound> SchemaKeywords::bound(const Json& schema, bool is_min) const {
  const char* keyword = is_min ? "minimum" : "maximum";
  const char* excluding = is_min ? "exclusiveMinimum" : "exclusiveMaximum";
  NumberSet set;
  const auto add = [&](const Json& value, const char* name, bool excluded) {
    if (!value.is_number()) refuse(schema, "'{}' is no number", name);
    const NumberSet::Bound limit{decimal_of(value), excluded};
    is_min ? set.limit_min(limit) : set.limit_max(limit);
  };
  const auto exclusive = schema.find(excluding);
  const bool has_exclusive = exclusive != schema.end();
  const bool flag = has_exclusive && exclusive->is_boolean();  // as in draft 4
  if (const auto given = schema.find(keyword); given != schema.end())
    add(*given, keyword, flag && *exclusive == true);
  if (has_exclusive && !flag) add(*exclusive, excluding, true);
  return is_min ? set.min : set.max;
}

NumberSet SchemaKeywords::numbers(const Json& schema) const {
  NumberSet set;
  set.min = bound(schema, true);
  set.max = bound(schema, false);
  if (const auto given = schema.find("multipleOf"); given != schema.end()) {
    if (!given->is_number() || given->get<double>() <= 0)
      refuse(schema, "'multipleOf' is no number more than 0");
    set.multiples_of.push_back(decimal_of(*given));
  }
  return set;
}

ArrayShape SchemaKeywords::arrays(const Json& schema) const {
  ArrayShape shape;
  const bool old_prefix = schema.contains("items") && schema["items"].is_array();
  const char* prefix_keyword = old_prefix ? "items" : "prefixItems";
  const char* rest_keyword = old_prefix ? "additionalItems" : "items";
  if (const auto prefix = schema.find(prefix_keyword); prefix != schema.end()) {
    if (!prefix->is_array() || prefix->size() > kMaxPrefixItems)
      refuse(schema, "'{}' is no list of at most {} schemas", prefix_keyword, kMaxPrefixItems);
    for (const Json& item : *prefix) add_claim(shape.prefix.emplace_back(), {&item});
  }
  if (const auto rest = schema.find(rest_keyword); rest != schema.end())
    add_claim(shape.rest, {&*rest});
  shape.min = optional_count(document_, schema, "minItems").value_or(0);
  shape.max = optional_count(document_, schema, "maxItems");
  for (size_t i = 0; i <= shape.prefix.size(); ++i) {  // none can come after one that cannot be
    if (!is_hopeless(shape.at(i))) continue;
    shape.max = std::min(shape.max.value_or(i), i);
    break;
  }
  if (const auto unique = schema.find("uniqueItems"); unique != schema.end()) {
    if (!unique->is_boolean()) refuse(schema, "'uniqueItems' is neither true nor false");
    shape.unique = *unique == true;
  }
  if (const auto contains = schema.find("contains"); contains != schema.end()) {
    ArrayShape::Count count;
    add_claim(count.claims, {&*contains});
    count.min = optional_count(document_, schema, "minContains").value_or(1);
    count.max = optional_count(document_, schema, "maxContains");
    shape.counts.push_back(std::move(count));
  }
  return shape;
}

std::vector<std::string> SchemaKeywords::names(const Json& schema, const char* keyword,
                                               const Json& list) const {
  if (!list.is_array()) refuse(schema, "'{}' is no list", keyword);
  if (list.size() > kMaxProperties)
    refuse(schema, "'{}' lists more than {} properties", keyword, kMaxProperties);
  std::vector<std::string> names;
  for (const Json& name : list) {
    if (!name.is_string()) refuse(schema, "'{}' lists what is no string", keyword);
    names.push_back(name);
  }
  return names;
}

const Json& SchemaKeywords::object(const Json& schema, const char* keyword) const {
  static const Json empty = Json::object();
  const auto found = schema.find(keyword);
  if (found == schema.end()) return empty;
  if (!found->is_object()) refuse(schema, "'{}' is no object", keyword);
  return *found;
}

ObjectShape SchemaKeywords::objects(const Json& schema, Evaluated& evaluated) {
  ObjectShape shape;
  add_patterns(schema, shape, evaluated);
  const Json& properties = object(schema, "properties");
  if (properties.size() > kMaxProperties) refuse(schema, "more than {} properties", kMaxProperties);
  for (const auto& [name, property] : properties.items()) {
    Claims claims;
    add_claim(claims, {&property});
    for (const auto& [text, patterned] : object(schema, "patternProperties").items())
      if (pattern(schema, text)->contains(name)) add_claim(claims, {&patterned});
    shape.properties.push_back({name, std::move(claims)});
    evaluated.names.insert(name);
  }
  if (const auto required = schema.find("required"); required != schema.end())
    for (const std::string& name : names(schema, "required", *required))
      shape.named(name).required = true;
  if (shape.properties.size() > kMaxProperties)
    refuse(schema, "more than {} properties", kMaxProperties);
  shape.min = optional_count(document_, schema, "minProperties").value_or(0);
  shape.max = optional_count(document_, schema, "maxProperties");
  return shape;
}

// Divides the properties that are not named by the patterns that their names are of.
void SchemaKeywords::add_patterns(const Json& schema, ObjectShape& objects, Evaluated& evaluated) {
  auto& others = objects.others;
  others[0].said = schema.contains("properties") ? Said::kDeclaresOthers : Said::kNothing;
  const Json& patterns = object(schema, "patternProperties");
  for (const auto& [text, patterned] : patterns.items()) {
    const SharedLanguage language = pattern(schema, text);
    evaluated.patterns.push_back(language);
    const SharedLanguage rest = std::make_shared<const Language>(language->complement());
    std::vector<ObjectShape::Others> divided;
    for (const ObjectShape::Others& each : others) {
      ObjectShape::Others of{meet(each.names, language), each.claims, Said::kAllows};
      add_claim(of.claims, {&patterned});
      if (!of.names->empty()) divided.push_back(std::move(of));
      ObjectShape::Others not_of{meet(each.names, rest), each.claims, each.said};
      if (!not_of.names->empty()) divided.push_back(std::move(not_of));
    }
    others = std::move(divided);
  }
  const auto additional = schema.find("additionalProperties");
  if (additional == schema.end()) return;
  evaluated.all_properties = true;
  // Those of no pattern came last, and have not been allowed yet.
  for (ObjectShape::Others& each : others) {
    if (each.said == Said::kAllows) continue;
    each.said = Said::kAllows;
    add_claim(each.claims, {&*additional});
  }
}

}  // namespace tessera::grammar
