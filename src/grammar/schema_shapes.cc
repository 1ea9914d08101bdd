#include "grammar/schema_shapes.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "grammar/schema_budget.h"

namespace tessera::grammar {
namespace {

constexpr size_t kMaxShapes = 1000;     // that one schema may have
constexpr size_t kMaxReferences = 200;  // one leading to the next

// A schema that leads to itself before any value is read, or might. Many are tried and come to
// nothing, so that their places are only looked for where one is told of.
struct Circle {
  const Json* at;
  bool is_deep;  // more schemas apply in turn than are followed
};

size_t weight(const Claims& claims) {
  return 1 + claims.size() / 8;
}

size_t weight(const SharedLanguage& language) {
  return language ? language->states().size() / 2 : 1;
}

// What it takes to look at a shape, or to copy it.
size_t weight(const Shape& shape) {
  const NumberSet& numbers = shape.numbers;
  size_t sum = 4 + numbers.without.size() + numbers.multiples_of.size() +
               numbers.no_multiples_of.size() + shape.evaluated.patterns.size();
  size_t bytes = 0;
  for (const std::string& name : shape.evaluated.names) bytes += 32 + name.size();
  sum += bytes / 128;
  if (numbers.among) sum += numbers.among->size();
  if (shape.strings.language) sum += weight(shape.strings.language);
  if (shape.arrays) {
    for (const Claims& claims : shape.arrays->prefix) sum += weight(claims);
    for (const auto& count : shape.arrays->counts) sum += weight(count.claims);
    sum += shape.arrays->rest.size() / 8;
  }
  if (!shape.objects) return sum;
  for (const auto& others : shape.objects->others)
    sum += weight(others.names) + others.claims.size() / 8;
  for (const auto& some : shape.objects->some) sum += weight(some.claims);
  for (const auto& property : shape.objects->properties)
    sum += weight(property.claims) + property.name.size() / 32;
  return sum;
}

Types types_of(const Shapes& shapes) {
  Types types = 0;
  for (const Shape& shape : shapes) types = static_cast<Types>(types | shape.types);
  return types;
}

// Whether each array and object in `value` can be said by its items and properties.
bool is_small(const Json& value) {
  if (!value.is_structured()) return true;
  return value.size() <= (value.is_array() ? kMaxPrefixItems : kMaxProperties) &&
         std::ranges::all_of(value, is_small);
}

// The only value that a schema allows, if it is a scalar, as a text that no other value has.
std::optional<std::string> only_value(const Json& schema) {
  if (!schema.is_object()) return std::nullopt;
  const auto given = schema.find("const"), list = schema.find("enum");
  const Json* value = given != schema.end() ? &*given : nullptr;
  if (value == nullptr && list != schema.end() && list->is_array() && list->size() == 1)
    value = &list->front();
  if (value == nullptr || value->is_structured()) return std::nullopt;
  return value->is_number() ? decimal_of(*value).text() : value->dump();
}

void count_work(size_t work) {
  SchemaBudget::spend(Cost::kCombining, work);
}

}  // namespace

void SchemaShapes::refuse(const Claims& claims, std::string_view what) const {
  fail("json_schema: {}: {}", claims.empty() ? "#" : document_.place_of(*claims.front().schema),
       what);
}

const Shapes& SchemaShapes::of(const Claims& claims) {
  try {
    return together(claims);
  } catch (const Circle& circle) {
    const std::string place = document_.place_of(*circle.at);
    if (circle.is_deep) {
      fail("json_schema: {}: more than {} schemas apply to one value in turn", place,
           kMaxReferences);
    }
    fail("json_schema: {}: $ref leads in a circle", place);
  }
}

const Shapes& SchemaShapes::together(const Claims& claims) {
  if (claims.size() == 1) return of(claims.front());
  if (const auto known = known_together_.find(claims); known != known_together_.end())
    return known->second;
  Shapes shapes = {Shape()};
  for (const Claim& claim : claims) shapes = both(shapes, of(claim));
  return known_together_.emplace(claims, std::move(shapes)).first->second;
}

const SchemaShapes::Known& SchemaShapes::known(const Claim& claim) {
  if (const auto found = known_.find(claim); found != known_.end()) return found->second;
  if (open_.size() > kMaxReferences) throw Circle{claim.schema, true};
  if (!open_.insert(claim).second) throw Circle{claim.schema, false};
  struct Closing {
    ~Closing() {
      shapes.open_.erase(claim);
      shapes.left_out_ = left_out;
    }
    SchemaShapes& shapes;
    const Claim claim;
    const char* const left_out;
  } const closing{*this, claim, std::exchange(left_out_, nullptr)};
  Shapes shapes = claim.holds ? asserted(*claim.schema) : negated(*claim.schema);
  return known_.emplace(claim, Known{std::move(shapes), left_out_}).first->second;
}

const Shapes& SchemaShapes::part(const Claim& claim) {
  const Known& found = known(claim);
  leave_out(found.left_out);
  return found.shapes;
}

void SchemaShapes::leave_out(const char* keyword) {
  if (left_out_ == nullptr) left_out_ = keyword;
}

const char* SchemaShapes::left_out(const Claims& claims) {
  for (const Claim& claim : claims)
    if (const char* keyword = known(claim).left_out) return keyword;
  return nullptr;
}

void SchemaShapes::append(Shapes& to, const Shapes& from) {
  for (const Shape& shape : from) count_work(weight(shape));
  if (to.size() + from.size() > kMaxShapes)
    fail("json_schema: too many alternatives: they are more than {}", kMaxShapes);
  to.insert(to.end(), from.begin(), from.end());
}

Shapes SchemaShapes::both(const Shapes& a, const Shapes& b) {
  Shapes result;
  for (const Shape& left : a) {
    for (const Shape& right : b) {
      count_work(weight(left) + weight(right));
      if (auto shape = meet(left, right)) result.push_back(std::move(*shape));
    }
    if (result.size() > kMaxShapes)
      fail("json_schema: too many alternatives: their combinations are more than {}", kMaxShapes);
  }
  return result;
}

Shapes SchemaShapes::asserted(const Json& schema) {
  if (schema == true) return {Shape()};
  if (schema == false) return {};
  if (!schema.is_object())
    keywords_.refuse(schema, "expected an object, found {}", schema.type_name());
  Shapes shapes = both({keywords_.shape_of(schema)}, {Shape()});
  if (schema.contains("const") || schema.contains("enum")) shapes = both(shapes, constants(schema));
  if (schema.contains("$ref")) shapes = both(shapes, part(Claim{&document_.target_of(schema)}));
  if (schema.contains("allOf"))
    for (const Json& each : list_of(schema, "allOf")) shapes = both(shapes, part(Claim{&each}));
  if (schema.contains("anyOf")) shapes = both(shapes, any_of(schema, "anyOf"));
  if (schema.contains("oneOf")) shapes = both(shapes, one_of(schema, types_of(shapes)));
  if (const auto given = schema.find("not"); given != schema.end())
    shapes = both(shapes, part(Claim{&*given, false}));
  if (schema.contains("if")) shapes = both(shapes, conditional(schema));
  shapes = dependent(schema, std::move(shapes));
  if (schema.contains("propertyNames")) restrict_names(schema, shapes);
  for (const char* keyword : {"unevaluatedProperties", "unevaluatedItems"}) {
    // What is of two shapes at once is evaluated by both, and `contains` evaluates items, too.
    const auto knows_all = [](const Shape& shape) {
      return !shape.arrays || shape.arrays->counts.empty();
    };
    if (schema.contains(keyword) && !(shapes.size() <= 1 && std::ranges::all_of(shapes, knows_all)))
      leave_out(keyword);
  }
  for (Shape& shape : shapes) restrict_unevaluated(schema, shape);
  return shapes;
}

const Json& SchemaShapes::list_of(const Json& schema, const char* keyword) const {
  const Json& list = schema[keyword];
  if (!list.is_array() || list.empty())
    keywords_.refuse(schema, "'{}' is no list of schemas", keyword);
  return list;
}

Shapes SchemaShapes::any_of(const Json& schema, const char* keyword) {
  Shapes any;
  for (const Json& each : list_of(schema, keyword)) append(any, part(Claim{&each}));
  return any;
}

// --- values that are given ---------------------------------------------------------------------

// Scalars are one shape, each array and object is another.
Shapes SchemaShapes::constants(const Json& schema) {
  Json values = Json::array();
  const bool is_const = schema.contains("const");
  if (schema.contains("enum")) {
    if (!schema["enum"].is_array()) keywords_.refuse(schema, "'enum' is no list");
    values = schema["enum"];
  }
  if (is_const) {
    const Json& only = schema["const"];
    if (schema.contains("enum") && std::ranges::find(values, only) == values.end()) return {};
    values = Json::array({only});
  }
  Shape scalars{.types = 0, .typed = true, .booleans = {false, false}};
  std::vector<Decimal> numbers;
  std::vector<std::string> texts;
  Shapes any;
  for (const Json& value : values) {
    Types type = 0;
    if (value.is_null())
      type = kNull;
    else if (value.is_boolean())
      type = kBoolean, scalars.booleans[value == true ? 1 : 0] = true;
    else if (value.is_number())
      type = kNumber, numbers.push_back(decimal_of(value));
    else if (value.is_string())
      type = kString, texts.push_back(value);
    else if (!is_small(value))
      keywords_.refuse(schema, "a constant array of more than {} items or object of more than {}",
                       kMaxPrefixItems, kMaxProperties);
    else
      append(any, part(Claim{&schema_of(value)}));
    scalars.types = static_cast<Types>(scalars.types | type);
  }
  if (scalars.types == 0) return any;
  std::ranges::sort(numbers);
  scalars.numbers.among = std::move(numbers);
  if (!texts.empty())
    scalars.strings.language = scalars.strings.wide =
        std::make_shared<const Language>(Language::of(texts));
  any.insert(any.begin(), std::move(scalars));
  return any;
}

const Json& SchemaShapes::keep(Json schema) {
  return made_.emplace_back(std::move(schema));
}

const Json& SchemaShapes::schema_of(const Json& value) {
  const Json*& known = made_for_[value.dump()];
  if (known != nullptr) return *known;
  Json schema = {{"type", value.type_name()}};
  const auto constant = [](const Json& each) { return Json{{"const", each}}; };
  if (value.is_array()) {
    schema["prefixItems"] = Json::array();
    for (const Json& item : value) schema["prefixItems"].push_back(constant(item));
    schema["items"] = false;
    schema["minItems"] = value.size();
  } else {
    schema["properties"] = Json::object();
    schema["required"] = Json::array();
    for (const auto& [name, member] : value.items()) {
      schema["properties"][name] = constant(member);
      schema["required"].push_back(name);
    }
    schema["additionalProperties"] = false;
  }
  return *(known = &keep(std::move(schema)));
}

// --- alternatives ------------------------------------------------------------------------------

// Of those that also fit `types`.
Shapes SchemaShapes::one_of(const Json& schema, Types types) {
  const Json& list = list_of(schema, "oneOf");
  // Two different values are told apart without being looked at: lists of them are long.
  std::vector<const Json*> all, others;
  std::vector<std::optional<std::string>> values;
  std::map<std::string, std::vector<const Json*>> by_value;
  for (const Json& each : list) {
    all.push_back(&each);
    values.push_back(only_value(each));
    (values.back() ? by_value[*values.back()] : others).push_back(&each);
  }
  Shapes any;
  for (size_t i = 0; i < list.size(); ++i) {
    if (!values[i]) {
      append(any, alone(list[i], all, types));
      continue;
    }
    std::vector<const Json*> near = by_value[*values[i]];
    near.insert(near.end(), others.begin(), others.end());
    append(any, alone(list[i], near, types));
  }
  return any;
}

// What is valid under `schema` and none of `others`, in which it may be itself.
Shapes SchemaShapes::alone(const Json& schema, const std::vector<const Json*>& others,
                           Types types) {
  Shapes shapes = part(Claim{&schema});
  for (Shape& shape : shapes) {
    if (shape.types & ~shape.meant() & types) leave_out("oneOf");
    shape.types = shape.meant();
  }
  for (const Json* other : others) {
    if (other == &schema) continue;
    const Known& excluded = known(Claim{other});
    Shapes next;
    for (const Shape& shape : shapes) {
      for (const Shape& o : excluded.shapes) count_work(weight(shape) + weight(o));
      if (excluded.left_out == nullptr && std::ranges::all_of(excluded.shapes, [&](const Shape& o) {
            return are_disjoint(shape, o);
          }))
        next.push_back(shape);
      else
        append(next, both({shape}, part(Claim{other, false})));
    }
    shapes = std::move(next);
  }
  return shapes;
}

bool SchemaShapes::are_disjoint(const Shape& a, Shape b) {
  b.strings.language = b.strings.wide;
  const auto shape = meet(a, b);
  return !shape || is_empty(*shape, 4);
}

bool SchemaShapes::is_empty(const Claims& claims, int depth) {
  if (claims.empty() || depth == 0) return false;
  if (const auto known = known_empty_.find(claims); known != known_empty_.end())
    return known->second;
  count_work(1);
  try {
    const bool empty =
        std::ranges::all_of(together(claims),
                            [&](const Shape& shape) { return is_empty(shape, depth - 1); }) &&
        left_out(claims) == nullptr;
    known_empty_.emplace(claims, empty);
    return empty;
  } catch (const Circle&) {  // it is of what is being looked at
    return false;
  }
}

bool SchemaShapes::is_empty(const Shape& shape, int depth) {
  if (shape.types & (kNull | kBoolean | kNumber | kString)) return false;
  if (shape.types & kArray) {
    bool possible = true;
    for (size_t i = 0; shape.arrays && i < std::min<size_t>(shape.arrays->min, 8); ++i)
      possible = possible && !is_empty(shape.arrays->at(i), depth);
    if (possible) return false;
  }
  if (shape.types & kObject) {
    if (!shape.objects) return false;
    return std::ranges::any_of(shape.objects->properties,
                               [&](const ObjectShape::Property& property) {
                                 return property.required && is_empty(property.claims, depth);
                               });
  }
  return true;
}

Shapes SchemaShapes::conditional(const Json& schema) {
  const Json& condition = schema["if"];
  const auto branch = [&](const char* keyword, bool holds) {
    const Shapes& when = part(Claim{&condition, holds});
    return schema.contains(keyword) ? both(when, part(Claim{&schema[keyword]})) : when;
  };
  if (!schema.contains("then") && !schema.contains("else")) {
    leave_out("if");  // what it evaluates
    return {Shape()};
  }
  Shapes any = branch("then", true);
  append(any, branch("else", false));
  return any;
}

// Where a property is there, more must hold: either it is not, or more holds.
Shapes SchemaShapes::dependent(const Json& schema, Shapes shapes) {
  for (const char* keyword : {"dependentRequired", "dependentSchemas", "dependencies"}) {
    for (const auto& [name, needed] : keywords_.object(schema, keyword).items()) {
      Shape absent{.objects = ObjectShape()}, present = absent;
      absent.objects->named(name).claims = {no_value()};
      present.types = kObject;
      present.objects->named(name).required = true;
      Shapes more = {Shape()};
      if (needed.is_array()) {
        for (const std::string& each : keywords_.names(schema, keyword, needed))
          present.objects->named(each).required = true;
      } else {
        more = part(Claim{&needed});
      }
      Shapes either = both({std::move(present)}, more);
      either.insert(either.begin(), std::move(absent));
      shapes = both(shapes, either);
    }
  }
  return shapes;
}

// --- properties and items beside those that are spoken of ---------------------------------------

std::optional<SharedLanguage> SchemaShapes::names_of(const Claim& claim) {
  Language any = Language::none();
  for (const Shape& shape : of(claim)) {
    if (!(shape.types & kString)) continue;
    const StringShape& strings = shape.strings;
    if (strings.language != strings.wide) return std::nullopt;
    if (strings.is_all()) return SharedLanguage();
    SharedLanguage language = strings.language;
    if (strings.min > 0 || strings.max)
      language =
          meet(language,
               std::make_shared<const Language>(Language::of_lengths(strings.min, strings.max)));
    any = any | *language;
  }
  return std::make_shared<const Language>(std::move(any));
}

void SchemaShapes::restrict_names(const Json& schema, Shapes& shapes) {
  const Claim claim{&schema["propertyNames"]};
  const auto names = names_of(claim);
  leave_out(known(claim).left_out);
  if (!names) keywords_.refuse(schema, "'propertyNames' by this format is not supported");
  if (!*names) return;
  Shape allowed{.objects = ObjectShape()};
  allowed.objects->others[0].names = *names;
  shapes = both(shapes, {allowed});
}

void SchemaShapes::restrict_unevaluated(const Json& schema, Shape& shape) {
  Evaluated& evaluated = shape.evaluated;
  if (const auto given = schema.find("unevaluatedItems"); given != schema.end()) {
    if (shape.types & kArray && !evaluated.all_items) {
      if (!shape.arrays) shape.arrays.emplace();
      ArrayShape& arrays = *shape.arrays;
      while (arrays.prefix.size() < evaluated.items) arrays.prefix.push_back(arrays.rest);
      for (size_t i = evaluated.items; i < arrays.prefix.size(); ++i)
        add_claim(arrays.prefix[i], {&*given});
      add_claim(arrays.rest, {&*given});
    }
    evaluated.all_items = true;
  }
  if (const auto given = schema.find("unevaluatedProperties"); given != schema.end()) {
    if (shape.types & kObject && !evaluated.all_properties) {
      ObjectShape& objects = shape.objects ? *shape.objects : shape.objects.emplace();
      for (auto& property : objects.properties) {
        const bool is_evaluated =
            evaluated.names.contains(property.name) ||
            std::ranges::any_of(evaluated.patterns, [&](const SharedLanguage& pattern) {
              return pattern->contains(property.name);
            });
        if (!is_evaluated) add_claim(property.claims, {&*given});
      }
      for (const std::string& name : evaluated.names) objects.named(name);
      for (const SharedLanguage& pattern : evaluated.patterns) {
        const auto rest = std::make_shared<const Language>(pattern->complement());
        std::vector<ObjectShape::Others> divided;
        for (const auto& each : objects.others) {
          divided.push_back({meet(each.names, pattern), each.claims, Said::kAllows});
          divided.push_back({meet(each.names, rest), each.claims, each.said});
        }
        objects.others = std::move(divided);
      }
      for (auto& each : objects.others) {
        const bool is_evaluated =
            std::ranges::any_of(evaluated.patterns, [&](const SharedLanguage& pattern) {
              return each.names && (*each.names & pattern->complement()).empty();
            });
        if (is_evaluated) continue;
        each.said = Said::kAllows;
        add_claim(each.claims, {&*given});
      }
    }
    evaluated.all_properties = true;
  }
}

}  // namespace tessera::grammar
