// Objects of JSON schemas: properties in any order, each at most once, and others among them.
#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "grammar/json_values.h"
#include "grammar/schema_budget.h"
#include "grammar/schema_writer.h"

namespace tessera::grammar {

namespace {

constexpr size_t kMaxOrdered = 10'000;  // Grammar numbers them by 16 bits

}  // namespace

Expr SchemaWriter::member(const std::string& name, const Claims& claims) {
  const auto [found, is_new] = members_.emplace(std::pair(name, claims), 0);
  if (is_new) {
    SchemaBudget::spend(Cost::kSyntax, name.size());
    const uint32_t rule = found->second = new_rule(printable(name));
    Expr key = literal(fmt::format("\"{}\"", json_escaped(name)));
    Expr of = value(claims, name);
    syntax_.rules[rule].body = sequence({std::move(key), colon(), std::move(of)});
  }
  return call(found->second);
}

// A property whose name is one of `names` and none of those that `shape` names.
Expr SchemaWriter::other_member(const SharedLanguage& names, const ObjectShape& shape,
                                const Claims& claims) {
  return sequence_of(other_name(names, shape), colon(), value(claims, "property"));
}

Expr SchemaWriter::other_name(const SharedLanguage& names, const ObjectShape& shape) {
  if (!names && shape.properties.empty()) return any_string();
  std::vector<std::string> named_ones;
  for (const auto& property : shape.properties) named_ones.push_back(property.name);
  std::ranges::sort(named_ones);
  // Shapes that differ in what else they say have the same names.
  const auto [known, is_new] = other_names_.try_emplace({names, std::move(named_ones)}, 0);
  if (!is_new) return call(known->second);
  const std::vector<std::string>& taken = known->first.second;
  SharedLanguage left = names;
  if (!taken.empty())
    left = meet(names, std::make_shared<const Language>(Language::of(taken).complement()));
  // Without escapes, which hardly any name has: they would make the grammar three times as large.
  Expr key = sequence_of(literal("\""), unescaped_text(*left), literal("\""));
  return call(known->second = new_rule("name", std::move(key)));
}

// The shapes of which one has what `shape` says that some properties are like. Of those that are
// not named, each has names of its own, or two are one with all that is said of them.
std::vector<ObjectShape> SchemaWriter::resolved(const ObjectShape& shape) {
  constexpr size_t kMaxResolved = 1001;
  std::vector<ObjectShape> either = {shape};
  either[0].some.clear();
  for (const ObjectShape::Some& some : shape.some) {
    std::vector<ObjectShape> next;
    for (const ObjectShape& each : either) {
      Language names = *some.names;
      for (size_t i = 0; i < each.some.size(); ++i) {
        const SharedLanguage both = meet(each.some[i].names, some.names);
        if (both->empty()) continue;
        names = names.minus(*each.some[i].names);
        ObjectShape by_one = each;
        by_one.some[i].names = both;
        add_claims(by_one.some[i].claims, some.claims);
        if (!is_hopeless(by_one.some[i].claims)) next.push_back(std::move(by_one));
      }
      if (!names.empty()) {
        ObjectShape by_another = each;
        by_another.some.push_back({std::make_shared<const Language>(names), some.claims});
        next.push_back(std::move(by_another));
      }
      for (size_t i = 0; i < each.properties.size(); ++i) {
        if (!some.names->contains(each.properties[i].name)) continue;
        ObjectShape by_this = each;
        by_this.properties[i].required = true;
        add_claims(by_this.properties[i].claims, some.claims);
        if (!is_hopeless(by_this.properties[i].claims)) next.push_back(std::move(by_this));
      }
      if (next.size() > kMaxResolved)
        fail("json_schema: too many ways for properties to be like what is not said of all others");
    }
    either = std::move(next);
  }
  return either;
}

Expr SchemaWriter::objects(const ObjectShape& shape, const Claims& of) {
  std::vector<Expr> either;
  for (const ObjectShape& each : resolved(shape)) either.push_back(object(each, of));
  return either.size() == 1 ? std::move(either[0]) : choice(std::move(either));
}

Expr SchemaWriter::object(const ObjectShape& shape, const Claims& of) {
  if (shape.properties.size() > kMaxOrdered)
    shapes_.refuse(of, fmt::format("more than {} properties", kMaxOrdered));
  SchemaBudget::spend(Cost::kSyntax, 1 + shape.properties.size());
  AnyOrder members{.separator = comma()};
  for (const auto& property : shape.properties) {
    if (is_hopeless(property.claims)) {
      if (property.required) return nothing();
      continue;
    }
    members.members.push_back(member(property.name, property.claims));
    members.required.push_back(property.required);
  }
  for (const ObjectShape::Some& some : shape.some) {
    std::vector<Expr> either;
    for (const ObjectShape::Others& others : shape.others) {
      Claims claims = others.claims;
      add_claims(claims, some.claims);
      if (!is_hopeless(claims))
        either.push_back(other_member(meet(others.names, some.names), shape, claims));
    }
    members.members.push_back(named("property", choice(std::move(either))));
    members.required.push_back(true);
  }
  std::vector<Expr> either;
  for (const ObjectShape::Others& others : shape.others) {
    const bool left_out =
        others.said == Said::kDeclaresOthers && undeclared_ == Undeclared::kLeftOut;
    // Where there has to be one for which something holds, it might be said again, with another
    // value.
    if (left_out || is_hopeless(others.claims) || !shape.some.empty()) continue;
    either.push_back(other_member(others.names, shape, others.claims));
  }
  if (!either.empty()) members.other.push_back(named("property", choice(std::move(either))));

  const auto braces = [this](Expr inside) {
    return sequence_of(literal("{"), space(), std::move(inside), space(), literal("}"));
  };
  const size_t most = members.members.size() + members.other.size();
  if (shape.min > most && !members.other.empty()) {
    shapes_.refuse(of, fmt::format("'minProperties' of more than {} is not supported: a name that "
                                   "is not declared may come twice",
                                   most));
  }
  if (shape.min > most) return nothing();
  if (most == 0) return braces(literal(""));
  const auto required = static_cast<size_t>(std::ranges::count(members.required, true));
  if (shape.max && *shape.max < required) return nothing();
  members.min = static_cast<int>(shape.min);
  if (shape.max) {
    if (*shape.max == 0) return braces(literal(""));
    // That many are never taken.
    if (*shape.max <= 100'000)
      members.max = static_cast<int>(*shape.max);
    else
      members.max = 100'000;
  }
  return braces(any_order(std::move(members)));
}

}  // namespace tessera::grammar
