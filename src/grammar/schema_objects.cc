#include "grammar/schema_objects.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/printable.h"
#include "grammar/json_values.h"

namespace tessera::grammar {
namespace {

constexpr size_t kMaxProperties = 1000;

struct Member {
  Expr expr;
  bool required;
};

Expr braces(Expr members, SchemaScope& scope) {
  return sequence({literal("{"), scope.space(), std::move(members), scope.space(), literal("}")});
}

// Members in order, those not required left out at will, then `other` ones; with commas between.
Expr some_members(std::vector<Member> members, const std::string& where, std::optional<Expr> other,
                  int min, int max, SchemaScope& scope) {
  // later[i]: what may follow when something stands before member i.
  Expr later = literal("");
  if (other) {
    Expr further = sequence({scope.comma(), *other});
    later = repeat(std::move(further), std::max(0, min - 1),
                   max == kUnbounded ? kUnbounded : std::max(0, max - 1));
  }
  const auto first_required = std::ranges::find(members, true, &Member::required);
  const bool all_optional = first_required == members.end();
  std::vector<Expr> beginnings;  // what the object may begin with
  if (all_optional) {
    if (other && max != 0) beginnings.push_back(sequence({std::move(*other), later}));
    if (min == 0) beginnings.push_back(literal(""));
  }
  for (size_t i = members.size(); i-- > 0;) {
    Member& member = members[i];
    const bool may_begin = members.begin() + static_cast<ptrdiff_t>(i) <= first_required;
    Expr here = std::move(member.expr);
    if (may_begin && i > 0) here = scope.named(where, std::move(here));
    if (may_begin || i % kChain == 0) later = scope.named(where, std::move(later));
    if (may_begin) {
      beginnings.push_back(sequence({here, later}));
    }
    if (i == 0) break;
    Expr after_comma = sequence({scope.comma(), std::move(here)});
    if (!member.required) after_comma = optional(std::move(after_comma));
    later = sequence({std::move(after_comma), std::move(later)});
  }
  return choice(std::move(beginnings));
}

}  // namespace

Expr any_object(SchemaScope& scope) {
  Expr member = sequence({scope.any_string(), scope.colon(), scope.any_value()});
  return braces(some_members({}, {}, std::move(member), 0, kUnbounded, scope), scope);
}

Expr object_of(const Json& schema, const std::string& where, SchemaScope& scope) {
  const Json properties = schema.value("properties", Json::object());
  const Json required_list = schema.value("required", Json::array());
  if (!properties.is_object()) fail("json_schema: {}: 'properties' is no object", where);
  if (!required_list.is_array()) fail("json_schema: {}: 'required' is no list", where);
  std::set<std::string> required;
  for (const Json& name : required_list) {
    if (!name.is_string()) fail("json_schema: {}: 'required' lists what is no string", where);
    required.insert(name);
  }
  if (properties.size() + required.size() > kMaxProperties)
    fail("json_schema: {}: more than {} properties", where, kMaxProperties);
  // Where nothing is said and properties are declared, no others are generated.
  const Json others = schema.value("additionalProperties", Json(!schema.contains("properties")));

  std::vector<Member> members;
  std::vector<std::string> names;
  const auto add = [&](const std::string& name, const Json& property, bool is_required) {
    names.push_back(name);
    const std::string place = where + "/properties/" + printable(name);
    if (property == false && !is_required) return;
    Expr key = literal(fmt::format("\"{}\"", json_escaped(name)));
    members.push_back(
        {sequence({std::move(key), scope.colon(), scope.value(property, place)}), is_required});
  };
  for (const auto& [name, property] : properties.items())
    add(name, property, required.contains(name));
  const bool open = !schema.contains("properties") && !schema.contains("additionalProperties");
  for (const std::string& name : required) {
    if (properties.contains(name)) continue;
    if (others == false)
      fail("json_schema: {}: '{}' is required and not allowed", where, printable(name));
    add(name, open ? Json(true) : others, true);
  }

  const int min = count_of(schema, "minProperties", 0, where);
  const int max = count_of(schema, "maxProperties", kUnbounded, where);
  check_order(min, max, "properties", where);
  if (min > 1)
    fail("json_schema: {}: 'minProperties' of more than 1 is not supported: a name may come twice",
         where);
  if (!members.empty() && (min > 0 || max != kUnbounded))
    fail("json_schema: {}: 'minProperties' and 'maxProperties' are not supported beside others",
         where);
  std::optional<Expr> other;
  if (others != false) {
    Expr key = names.empty() ? scope.any_string() : json_other_key(names);
    other = scope.named(where, sequence({std::move(key), scope.colon(),
                                         scope.value(others, where + "/additionalProperties")}));
  }
  if (members.empty() && !other) {
    if (min > 0) fail("json_schema: {}: no property is allowed, {} are needed", where, min);
    return braces(literal(""), scope);
  }
  return braces(some_members(std::move(members), where, std::move(other), min, max, scope), scope);
}

}  // namespace tessera::grammar
