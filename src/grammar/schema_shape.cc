#include "grammar/schema_shape.h"

#include <algorithm>
#include <utility>

namespace tessera::grammar {
namespace {

const Json kFalse = false;

template <typename T>
void tighten(size_t& min, std::optional<T>& max, size_t other_min,
             const std::optional<T>& other_max) {
  min = std::max(min, other_min);
  if (other_max) max = std::min(max.value_or(*other_max), *other_max);
}

// Adds what is not there yet: parts that are said twice, as by two references, are one.
template <typename T>
void unite(std::vector<T>& to, const std::vector<T>& from) {
  for (const T& each : from)
    if (std::ranges::find(to, each) == to.end()) to.push_back(each);
}

}  // namespace

Claim no_value() {
  return {&kFalse, true};
}

void add_claim(Claims& claims, Claim claim) {
  const Json& schema = *claim.schema;
  const bool is_true = schema == true || (schema.is_object() && schema.empty());
  if (claim.holds ? is_true : schema == false) return;
  if (is_true) claim = no_value();
  const auto at = std::ranges::lower_bound(claims, claim);
  if (at == claims.end() || *at != claim) claims.insert(at, claim);
}

void add_claims(Claims& claims, const Claims& more) {
  for (const Claim& claim : more) add_claim(claims, claim);
}

bool is_hopeless(const Claims& claims) {
  return std::ranges::any_of(claims, [](const Claim& claim) {
    return claim.holds && claim.schema->is_boolean() && *claim.schema == false;
  });
}

bool Shape::is_any() const {
  return types == kAllTypes && booleans[0] && booleans[1] && numbers.is_all() && strings.is_all() &&
         !arrays && !objects;
}

SharedLanguage meet(const SharedLanguage& a, const SharedLanguage& b) {
  if (!a || a == b) return b;
  if (!b) return a;
  return std::make_shared<const Language>(*a & *b);
}

const ObjectShape::Property* ObjectShape::find(std::string_view name) const {
  const auto at = std::ranges::find(properties, name, &Property::name);
  return at == properties.end() ? nullptr : &*at;
}

Claims ObjectShape::claims_of(std::string_view name) const {
  if (const Property* property = find(name)) return property->claims;
  for (const Others& each : others)
    if (!each.names || each.names->contains(name)) return each.claims;
  return {no_value()};
}

ObjectShape::Property& ObjectShape::named(const std::string& name) {
  const auto at = std::ranges::find(properties, name, &Property::name);
  if (at != properties.end()) return *at;
  Claims claims = claims_of(name);
  return properties.emplace_back(Property{name, std::move(claims)});
}

namespace {

StringShape meet_strings(StringShape a, const StringShape& b) {
  const bool exact = a.language == a.wide && b.language == b.wide;
  a.language = meet(a.language, b.language);
  a.wide = exact ? a.language : meet(a.wide, b.wide);
  tighten(a.min, a.max, b.min, b.max);
  return a;
}

ArrayShape meet_arrays(ArrayShape a, const ArrayShape& b) {
  while (a.prefix.size() < b.prefix.size()) a.prefix.push_back(a.rest);
  for (size_t i = 0; i < a.prefix.size(); ++i) add_claims(a.prefix[i], b.at(i));
  add_claims(a.rest, b.rest);
  tighten(a.min, a.max, b.min, b.max);
  unite(a.counts, b.counts);
  a.unique |= b.unique;
  return a;
}

ObjectShape meet_objects(const ObjectShape& a, const ObjectShape& b) {
  ObjectShape both{.others = {}, .some = a.some, .min = a.min, .max = a.max};
  for (const auto& property : a.properties) {
    both.properties.push_back(property);
    add_claims(both.properties.back().claims, b.claims_of(property.name));
    if (const auto* other = b.find(property.name))
      both.properties.back().required |= other->required;
  }
  for (const auto& property : b.properties) {
    if (a.find(property.name) != nullptr) continue;
    both.properties.push_back(property);
    add_claims(both.properties.back().claims, a.claims_of(property.name));
  }
  for (const auto& left : a.others) {
    for (const auto& right : b.others) {
      ObjectShape::Others others{meet(left.names, right.names), left.claims,
                                 std::max(left.said, right.said)};
      if (others.names && others.names->empty()) continue;
      add_claims(others.claims, right.claims);
      both.others.push_back(std::move(others));
    }
  }
  unite(both.some, b.some);
  tighten(both.min, both.max, b.min, b.max);
  return both;
}

void add_evaluated(Evaluated& a, const Evaluated& b) {
  a.all_properties |= b.all_properties;
  a.all_items |= b.all_items;
  a.names.insert(b.names.begin(), b.names.end());
  unite(a.patterns, b.patterns);
  a.items = std::max(a.items, b.items);
}

bool has_strings(const StringShape& strings) {
  if (strings.max && *strings.max < strings.min) return false;
  if (!strings.wide) return true;
  if (strings.wide->empty()) return false;
  if (strings.max && strings.wide->shortest() > *strings.max) return false;
  return strings.min == 0 || strings.wide->longest().value_or(SIZE_MAX) >= strings.min;
}

bool has_numbers(const NumberSet& numbers) {
  if (numbers.whole && numbers.broken) return false;
  if (numbers.among && numbers.among->empty()) return false;
  if (!numbers.min || !numbers.max) return true;
  const auto order = numbers.min->value <=> numbers.max->value;
  return order < 0 || (order == 0 && !numbers.min->excluded && !numbers.max->excluded);
}

bool has_arrays(const ArrayShape& arrays) {
  if (arrays.max && *arrays.max < arrays.min) return false;
  for (size_t i = 0; i < std::min(arrays.min, arrays.prefix.size()); ++i)
    if (is_hopeless(arrays.prefix[i])) return false;
  return arrays.min <= arrays.prefix.size() || !is_hopeless(arrays.rest);
}

bool has_objects(const ObjectShape& objects) {
  if (objects.max && *objects.max < objects.min) return false;
  return std::ranges::none_of(objects.properties, [](const ObjectShape::Property& property) {
    return property.required && is_hopeless(property.claims);
  });
}

}  // namespace

bool settle(Shape& shape) {
  const auto keep = [&](Types type, bool kept) {
    if (!kept) shape.types = static_cast<Types>(shape.types & ~type);
  };
  keep(kBoolean, shape.booleans[0] || shape.booleans[1]);
  if (shape.types & kNumber) keep(kNumber, has_numbers(shape.numbers));
  if (shape.types & kString) keep(kString, has_strings(shape.strings));
  if (shape.arrays) keep(kArray, has_arrays(*shape.arrays));
  if (shape.objects) keep(kObject, has_objects(*shape.objects));
  return shape.types != 0;
}

std::optional<Shape> meet(const Shape& a, const Shape& b) {
  Shape both{.types = static_cast<Types>(a.types & b.types),
             .typed = a.typed || b.typed,
             .hinted = static_cast<Types>(a.hinted | b.hinted),
             .evaluated = a.evaluated};
  if (both.types == 0) return std::nullopt;
  for (size_t i = 0; i < 2; ++i) both.booleans[i] = a.booleans[i] && b.booleans[i];
  if (both.types & kNumber) both.numbers = meet(a.numbers, b.numbers);
  if (both.types & kString) both.strings = meet_strings(a.strings, b.strings);
  if (both.types & kArray)
    both.arrays =
        a.arrays && b.arrays ? meet_arrays(*a.arrays, *b.arrays) : (a.arrays ? a.arrays : b.arrays);
  if (both.types & kObject)
    both.objects = a.objects && b.objects ? meet_objects(*a.objects, *b.objects)
                                          : (a.objects ? a.objects : b.objects);
  add_evaluated(both.evaluated, b.evaluated);
  if (!settle(both)) return std::nullopt;
  return both;
}

}  // namespace tessera::grammar
