// What is not valid under a schema: some keyword of it does not hold.
#include <algorithm>
#include <utility>

#include "grammar/formats.h"
#include "grammar/schema_shapes.h"

namespace tessera::grammar {
namespace {

Shape of_type(Types type) {
  return {.types = type};
}

Shape of_objects() {
  return {.types = kObject, .objects = ObjectShape()};
}

Shape of_arrays() {
  return {.types = kArray, .arrays = ArrayShape()};
}

void add_settled(Shapes& any, Shape shape) {
  if (settle(shape)) any.push_back(std::move(shape));
}

}  // namespace

Shapes SchemaShapes::negated(const Json& schema) {
  if (schema == true) return {};
  if (schema == false) return {Shape()};
  (void)of(Claim{&schema});  // it must be well formed
  Shapes any;
  negate_values(schema, any);
  negate_scalars(schema, any);
  if (speaks_of(schema, kArray)) negate_arrays(schema, any);
  if (speaks_of(schema, kObject)) negate_objects(schema, any);
  negate_applied(schema, any);
  for (Shape& shape : any) shape.evaluated = {};
  for (const char* keyword : {"unevaluatedItems", "unevaluatedProperties"})
    if (schema.contains(keyword)) leave_out(keyword);
  if (schema.contains("uniqueItems") && schema["uniqueItems"] == true) leave_out("uniqueItems");
  if (schema.contains("format") &&
      find_format(schema["format"].get_ref<const std::string&>()) != nullptr)
    leave_out("format");
  // Those that are named and of a pattern, too.
  if (schema.contains("patternProperties") &&
      (schema.contains("properties") || schema.contains("required")))
    leave_out("patternProperties");
  return any;
}

void SchemaShapes::negate_values(const Json& schema, Shapes& any) {
  bool whole = false;
  const Types types = keywords_.types_of(schema, whole);
  Shape other = of_type(static_cast<Types>(kAllTypes & ~types));
  if (whole) {
    other.types = static_cast<Types>(other.types | kNumber);
    other.numbers.broken = true;
  }
  if (other.types != 0) add_settled(any, std::move(other));

  for (const char* keyword : {"const", "enum"}) {
    if (!schema.contains(keyword)) continue;
    const bool is_const = std::string_view(keyword) == "const";
    Shape none;
    std::vector<std::string> texts;
    Shapes composite = {Shape()};
    for (const Json& value : is_const ? Json::array({schema[keyword]}) : schema[keyword]) {
      if (value.is_null())
        none.types = static_cast<Types>(none.types & ~kNull);
      else if (value.is_boolean())
        none.booleans[value == true ? 1 : 0] = false;
      else if (value.is_number())
        none.numbers.without.push_back(decimal_of(value));
      else if (value.is_string())
        texts.push_back(value);
      else
        composite = both(composite, part(Claim{&schema_of(value), false}));
    }
    std::ranges::sort(none.numbers.without);
    auto& without = none.numbers.without;
    without.erase(std::unique(without.begin(), without.end()), without.end());
    if (!texts.empty())
      none.strings.language = none.strings.wide =
          std::make_shared<const Language>(Language::of(texts).complement());
    for (Shape& shape : both({none}, composite)) any.push_back(std::move(shape));
  }
}

void SchemaShapes::negate_scalars(const Json& schema, Shapes& any) {
  if (speaks_of(schema, kNumber)) {
    for (const bool is_min : {true, false}) {
      auto bound = keywords_.bound(schema, is_min);
      if (!bound) continue;
      Shape beyond = of_type(kNumber);
      bound->excluded = !bound->excluded;
      (is_min ? beyond.numbers.max : beyond.numbers.min) = bound;
      any.push_back(std::move(beyond));
    }
    if (schema.contains("multipleOf")) {
      Shape between = of_type(kNumber);
      between.numbers.no_multiples_of.push_back(decimal_of(schema["multipleOf"]));
      any.push_back(std::move(between));
    }
  }
  if (speaks_of(schema, kString)) {
    if (const int min = count_of(document_, schema, "minLength", 0); min > 0) {
      Shape shorter = of_type(kString);
      shorter.strings.max = static_cast<size_t>(min - 1);
      any.push_back(std::move(shorter));
    }
    if (schema.contains("maxLength")) {
      Shape longer = of_type(kString);
      longer.strings.min = static_cast<size_t>(count_of(document_, schema, "maxLength", 0)) + 1;
      any.push_back(std::move(longer));
    }
    if (schema.contains("pattern")) {
      Shape other = of_type(kString);
      other.strings.language = other.strings.wide = std::make_shared<const Language>(
          keywords_.pattern(schema, schema["pattern"])->complement());
      add_settled(any, std::move(other));
    }
  }
}

void SchemaShapes::negate_arrays(const Json& schema, Shapes& any) {
  const ArrayShape shape = *keywords_.shape_of(schema).arrays;
  for (size_t i = 0; i < shape.prefix.size(); ++i) {
    for (const Claim& claim : shape.prefix[i]) {
      Shape wrong = of_arrays();
      wrong.arrays->prefix.resize(i + 1);
      add_claim(wrong.arrays->prefix[i], {claim.schema, !claim.holds});
      wrong.arrays->min = i + 1;
      add_settled(any, std::move(wrong));
    }
  }
  for (const Claim& claim : shape.rest) {
    Shape wrong = of_arrays();
    if (is_hopeless(shape.rest)) {
      wrong.arrays->min = shape.prefix.size() + 1;
    } else if (shape.prefix.empty()) {
      wrong.arrays->counts.push_back({{{claim.schema, !claim.holds}}});
    } else {
      leave_out("items");
      continue;
    }
    any.push_back(std::move(wrong));
  }
  if (const int min = count_of(document_, schema, "minItems", 0); min > 0) {
    Shape fewer = of_arrays();
    fewer.arrays->max = static_cast<size_t>(min - 1);
    any.push_back(std::move(fewer));
  }
  if (schema.contains("maxItems")) {
    Shape more = of_arrays();
    more.arrays->min = static_cast<size_t>(count_of(document_, schema, "maxItems", 0)) + 1;
    any.push_back(std::move(more));
  }
  for (const ArrayShape::Count& count : shape.counts) {
    if (count.min > 0) {
      Shape fewer = of_arrays();
      fewer.arrays->counts.push_back({count.claims, 0, count.min - 1});
      any.push_back(std::move(fewer));
    }
    if (count.max) {
      Shape more = of_arrays();
      more.arrays->counts.push_back({count.claims, *count.max + 1});
      any.push_back(std::move(more));
    }
  }
}

void SchemaShapes::negate_objects(const Json& schema, Shapes& any) {
  const ObjectShape shape = *keywords_.shape_of(schema).objects;
  for (const auto& [name, property] : keywords_.object(schema, "properties").items()) {
    Shape wrong = of_objects();
    auto& named = wrong.objects->named(name);
    named.required = true;
    add_claim(named.claims, {&property, false});
    add_settled(any, std::move(wrong));
  }
  for (const ObjectShape::Others& others : shape.others) {
    for (const Claim& claim : others.claims) {
      SharedLanguage names = others.names;
      for (const auto& [name, unused] : keywords_.object(schema, "properties").items())
        names = meet(names, keywords_.name(name));
      Shape wrong = of_objects();
      if (!names) names = std::make_shared<const Language>(Language::all());
      wrong.objects->some.push_back({names, {}});
      add_claim(wrong.objects->some.back().claims, {claim.schema, !claim.holds});
      if (!is_hopeless(wrong.objects->some.back().claims)) any.push_back(std::move(wrong));
    }
  }
  for (const auto& property : shape.properties) {
    if (!property.required) continue;
    Shape without = of_objects();
    without.objects->named(property.name).claims = {no_value()};
    any.push_back(std::move(without));
  }
  if (shape.min > 0) {
    Shape fewer = of_objects();
    fewer.objects->max = shape.min - 1;
    any.push_back(std::move(fewer));
  }
  if (shape.max) {
    Shape more = of_objects();
    more.objects->min = *shape.max + 1;
    any.push_back(std::move(more));
  }
  if (schema.contains("propertyNames")) {
    const Claim claim{&schema["propertyNames"]};
    const auto names = names_of(claim);
    if (!names || known(claim).left_out) {
      leave_out("propertyNames");
    } else if (*names) {
      Shape wrong = of_objects();
      wrong.objects->some.push_back({std::make_shared<const Language>((*names)->complement()), {}});
      any.push_back(std::move(wrong));
    }
  }
  for (const char* keyword : {"dependentRequired", "dependentSchemas", "dependencies"}) {
    for (const auto& [name, needed] : keywords_.object(schema, keyword).items()) {
      Shape present = of_objects();
      present.objects->named(name).required = true;
      if (!needed.is_array()) {
        append(any, both({present}, part(Claim{&needed, false})));
        continue;
      }
      for (const std::string& each : keywords_.names(schema, keyword, needed)) {
        Shape wrong = present;
        wrong.objects->named(each).claims = {no_value()};
        add_settled(any, std::move(wrong));
      }
    }
  }
}

void SchemaShapes::negate_applied(const Json& schema, Shapes& any) {
  const auto add = [&](const Shapes& shapes) { append(any, shapes); };
  if (schema.contains("$ref")) add(part(Claim{&document_.target_of(schema), false}));
  if (schema.contains("not")) add(part(Claim{&schema["not"]}));
  if (schema.contains("allOf"))
    for (const Json& each : schema["allOf"]) add(part(Claim{&each, false}));
  for (const char* keyword : {"anyOf", "oneOf"}) {
    if (!schema.contains(keyword)) continue;
    Shapes none = {Shape()};
    for (const Json& each : schema[keyword]) none = both(none, part(Claim{&each, false}));
    add(none);
  }
  if (schema.contains("oneOf")) {
    const Json& list = schema["oneOf"];
    for (size_t i = 0; i < list.size(); ++i)
      for (size_t j = 0; j < i; ++j) add(both(part(Claim{&list[j]}), part(Claim{&list[i]})));
  }
  if (schema.contains("if")) {
    const Json& condition = schema["if"];
    if (schema.contains("then"))
      add(both(part(Claim{&condition}), part(Claim{&schema["then"], false})));
    if (schema.contains("else"))
      add(both(part(Claim{&condition, false}), part(Claim{&schema["else"], false})));
  }
}

}  // namespace tessera::grammar
