#include "grammar/schema_merge.h"

#include <algorithm>
#include <array>
#include <initializer_list>

#include "base/error.h"
#include "base/printable.h"

namespace tessera::grammar {
namespace {

constexpr size_t kMaxSchema = 256 << 10;
constexpr int kMaxMergeNesting = 128;
constexpr int kMaxReferences = 64;  // one leading to the next
constexpr int kMaxJoins = 1000;
constexpr size_t kMaxComparisons = 10'000'000;  // of the entries of two lists or objects

constexpr std::array<std::string_view, 18> kUnsupported = {"not",
                                                           "if",
                                                           "then",
                                                           "else",
                                                           "dependentSchemas",
                                                           "dependentRequired",
                                                           "dependencies",
                                                           "patternProperties",
                                                           "propertyNames",
                                                           "unevaluatedProperties",
                                                           "unevaluatedItems",
                                                           "contains",
                                                           "minContains",
                                                           "maxContains",
                                                           "multipleOf",
                                                           "uniqueItems",
                                                           "$dynamicRef",
                                                           "$recursiveRef"};

constexpr std::array<std::string_view, 26> kAssertions = {"$ref",
                                                          "allOf",
                                                          "anyOf",
                                                          "oneOf",
                                                          "type",
                                                          "enum",
                                                          "const",
                                                          "properties",
                                                          "required",
                                                          "additionalProperties",
                                                          "minProperties",
                                                          "maxProperties",
                                                          "items",
                                                          "prefixItems",
                                                          "additionalItems",
                                                          "minItems",
                                                          "maxItems",
                                                          "minLength",
                                                          "maxLength",
                                                          "pattern",
                                                          "format",
                                                          "minimum",
                                                          "maximum",
                                                          "exclusiveMinimum",
                                                          "exclusiveMaximum",
                                                          "nullable"};

bool contains(const Json& array, const Json& value) {
  return std::ranges::find(array, value) != array.end();
}

}  // namespace

Json parse_schema(std::string_view text) {
  if (text.size() > kMaxSchema)
    fail("json_schema: {} bytes are too many, at most {} expected", text.size(), kMaxSchema);
  try {
    return Json::parse(text, [](int depth, Json::parse_event_t, Json&) {
      if (depth > kMaxMergeNesting) fail("json_schema: nested more than {} deep", kMaxMergeNesting);
      return true;
    });
  } catch (const Json::exception& error) {
    fail("json_schema: this is not JSON: {}", printable(error.what(), 200));
  }
}

void refuse_unsupported(const Json& schema, const std::string& where) {
  for (const auto& [keyword, value] : schema.items()) {
    const bool means_nothing = (keyword == "uniqueItems" && value == false) ||
                               (keyword == "unevaluatedProperties" && value == true) ||
                               (keyword == "unevaluatedItems" && value == true);
    if (!means_nothing && std::ranges::find(kUnsupported, keyword) != kUnsupported.end())
      fail("json_schema: {}: keyword '{}' is not supported", where, keyword);
  }
}

bool is_assertion(std::string_view keyword) {
  return std::ranges::find(kAssertions, keyword) != kAssertions.end();
}

const Json& resolve(const Json& root, const std::string& reference, const std::string& where) {
  if (!reference.starts_with('#') || (reference.size() > 1 && reference[1] != '/')) {
    fail("json_schema: {}: $ref '{}' is not supported, only '#/...' is", where,
         printable(reference));
  }
  try {
    return root.at(Json::json_pointer(reference.substr(1)));
  } catch (const Json::exception&) {
    fail("json_schema: {}: $ref '{}' leads nowhere", where, printable(reference));
  }
}

std::vector<std::string> types_of(const Json& schema, const std::string& where) {
  constexpr std::array<std::string_view, 7> kTypes = {"object",  "array",   "string", "number",
                                                      "integer", "boolean", "null"};
  std::vector<std::string> types;
  const auto add = [&](const Json& type) {
    if (!type.is_string() ||
        std::ranges::find(kTypes, type.get_ref<const std::string&>()) == kTypes.end()) {
      fail("json_schema: {}: there is no type {}", where, printable(type.dump()));
    }
    types.push_back(type);
  };
  if (const auto type = schema.find("type"); type != schema.end()) {
    if (!type->is_array()) {
      add(*type);
    } else {
      for (const Json& each : *type) add(each);
      if (types.empty()) fail("json_schema: {}: 'type' is an empty list", where);
    }
    if (const auto nullable = schema.find("nullable");
        nullable != schema.end() && *nullable == true)
      types.emplace_back("null");
    return types;
  }
  const auto has_any = [&](std::initializer_list<const char*> keywords) {
    return std::ranges::any_of(keywords, [&](const char* k) { return schema.contains(k); });
  };
  if (has_any({"properties", "required", "additionalProperties", "minProperties", "maxProperties"}))
    return {"object"};
  if (has_any({"items", "prefixItems", "additionalItems", "minItems", "maxItems"}))
    return {"array"};
  if (has_any({"minLength", "maxLength", "pattern", "format"})) return {"string"};
  if (has_any({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"})) return {"number"};
  return {};
}

namespace {

void merge_types(Json& into, const Json& from, const std::string& where) {
  const auto a = types_of({{"type", into}}, where), b = types_of({{"type", from}}, where);
  Json both = Json::array();
  for (const std::string& type : a) {
    if (std::ranges::find(b, type) != b.end()) {
      both.push_back(type);
    } else if (type == "number" && std::ranges::find(b, "integer") != b.end()) {
      both.push_back("integer");
    } else if (type == "integer" && std::ranges::find(b, "number") != b.end()) {
      both.push_back("integer");
    }
  }
  if (both.empty()) fail("json_schema: {}: no type is left that all parts allow", where);
  into = std::move(both);
}

// What only `schema` declares is one of the additional properties of `other`: forbidden there, or
// held to a schema.
void restrict_undeclared(Json& schema, const Json& other, const std::string& where) {
  const auto additional = other.find("additionalProperties");
  if (additional == other.end() || *additional == true || !schema.contains("properties")) return;
  const Json declared = other.value("properties", Json::object());
  Json kept = Json::object();
  for (const auto& [name, property] : schema["properties"].items()) {
    if (declared.contains(name)) {
      kept[name] = property;
    } else if (*additional != false) {
      kept[name] = Json{{"allOf", Json::array({property, *additional})}};
    } else if (contains(schema.value("required", Json::array()), name)) {
      fail("json_schema: {}: '{}' is required by one part and forbidden by another", where,
           printable(name));
    }
  }
  schema["properties"] = std::move(kept);
}

void merge_keyword(Json& into, const std::string& keyword, const Json& value,
                   const std::string& where) {
  if (keyword == "type") {
    merge_types(into, value, where);
  } else if (keyword == "properties") {
    for (const auto& [name, property] : value.items()) {
      if (!into.contains(name)) {
        into[name] = property;
      } else if (into[name] != property) {
        into[name] = Json{{"allOf", Json::array({into[name], property})}};
      }
    }
  } else if (keyword == "required") {
    for (const Json& name : value)
      if (!contains(into, name)) into.push_back(name);
  } else if (keyword == "enum") {
    Json both = Json::array();
    for (const Json& each : into)
      if (contains(value, each)) both.push_back(each);
    into = std::move(both);
  } else if (keyword == "additionalProperties" && (into.is_boolean() && value.is_boolean())) {
    into = into == true && value == true;
  } else if (value.is_number() && into.is_number() &&
             (keyword.starts_with("min") || keyword == "exclusiveMinimum")) {
    if (value > into) into = value;
  } else if (value.is_number() && into.is_number()) {
    if (value < into) into = value;
  } else {
    fail("json_schema: {}: '{}' differs between the parts of allOf or $ref, which is not supported",
         where, keyword);
  }
}

// `items` says less where `prefixItems` stands beside it, as it would in the schema of both.
void refuse_divided_items(const Json& schema, const Json& other, const std::string& where) {
  const auto has_prefix = [](const Json& s) {
    return s.contains("prefixItems") || (s.contains("items") && s["items"].is_array());
  };
  if (!has_prefix(schema) || has_prefix(other) || !other.contains("items") ||
      other["items"] == true)
    return;
  fail("json_schema: {}: 'items' of one part beside 'prefixItems' of another is not supported",
       where);
}

// `nullable` belongs to the `type` beside it: another part's type must not take it over.
void move_nullable_into_type(Json& schema, const std::string& where) {
  if (!schema.contains("nullable")) return;
  if (schema.contains("type")) schema["type"] = types_of(schema, where);
  schema.erase("nullable");
}

bool well_formed(const Json& schema) {
  const auto is = [&](const char* keyword, auto test) {
    const auto found = schema.find(keyword);
    return found == schema.end() || test(*found);
  };
  return is("properties", [](const Json& v) { return v.is_object(); }) &&
         is("required", [](const Json& v) { return v.is_array(); }) &&
         is("enum", [](const Json& v) { return v.is_array(); });
}

}  // namespace

Json SchemaMerger::flatten(Json schema, const std::string& where) {
  if (!schema.is_object()) return schema;
  if (++references_ > kMaxReferences) fail("json_schema: {}: $ref leads in a circle", where);
  refuse_unsupported(schema, where);
  std::vector<Json> parts;
  if (const auto reference = schema.find("$ref"); reference != schema.end()) {
    if (!reference->is_string()) fail("json_schema: {}: '$ref' is no string", where);
    parts.push_back(flatten(resolve(root_, reference->get<std::string>(), where), where));
    schema.erase("$ref");
  }
  if (const auto all = schema.find("allOf"); all != schema.end()) {
    if (!all->is_array()) fail("json_schema: {}: 'allOf' is no list", where);
    for (const Json& part : *all) parts.push_back(flatten(part, where));
    schema.erase("allOf");
  }
  for (Json& part : parts) schema = merge(std::move(schema), std::move(part), where);
  --references_;
  return schema;
}

void SchemaMerger::count_work(const Json& into, const Json& from, const std::string& where) {
  for (const char* keyword : {"enum", "required", "properties"}) {
    if (!into.contains(keyword) || !from.contains(keyword)) continue;
    comparisons_ += into[keyword].size() * from[keyword].size();
  }
  if (comparisons_ > kMaxComparisons)
    fail("json_schema: {}: allOf and $ref join too large lists or objects", where);
}

Json SchemaMerger::merge(Json a, Json b, const std::string& where) {
  if (++joins_ > kMaxJoins) fail("json_schema: {}: allOf and $ref join too many schemas", where);
  a = flatten(std::move(a), where);
  b = flatten(std::move(b), where);
  if (a == true || b == true) return a == true ? b : a;
  if (!a.is_object() || !b.is_object() || !well_formed(a) || !well_formed(b))
    fail("json_schema: {}: the parts of allOf or $ref do not go together", where);
  for (Json* schema : {&a, &b}) {
    move_nullable_into_type(*schema, where);
    if (!schema->contains("const")) continue;
    const Json value = (*schema)["const"];
    if (schema->contains("enum") && !contains((*schema)["enum"], value))
      fail("json_schema: {}: 'const' is not in 'enum'", where);
    schema->erase("const");
    (*schema)["enum"] = Json::array({value});
  }
  count_work(a, b, where);
  restrict_undeclared(a, b, where);
  restrict_undeclared(b, a, where);
  refuse_divided_items(a, b, where);
  refuse_divided_items(b, a, where);
  for (const auto& [keyword, value] : b.items()) {
    if (!is_assertion(keyword)) continue;
    if (!a.contains(keyword)) {
      a[keyword] = value;
    } else if (a[keyword] != value) {
      merge_keyword(a[keyword], keyword, value, where);
    }
  }
  return a;
}

}  // namespace tessera::grammar
