// What a JSON schema says, in one form: values are of one of several shapes. A shape says for each
// type of value whether it is allowed, and what holds for it; what holds for the values within is
// left as claims, which are looked at when one gets there, so that schemas may refer to themselves.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "grammar/language.h"
#include "grammar/number_set.h"
#include "grammar/schema_document.h"

namespace tessera::grammar {

// That a value is valid under a schema, or is not.
struct Claim {
  const Json* schema;
  bool holds = true;
  auto operator<=>(const Claim&) const = default;
};
// All of them at once, ascending; none: any value.
using Claims = std::vector<Claim>;

void add_claim(Claims& claims, Claim claim);
void add_claims(Claims& claims, const Claims& more);
bool is_hopeless(const Claims& claims);  // one of them is that `false` holds
// That nothing is valid.
Claim no_value();

using Types = uint8_t;
inline constexpr Types kNull = 1, kBoolean = 2, kNumber = 4, kString = 8, kArray = 16, kObject = 32,
                       kAllTypes = 63;

using SharedLanguage = std::shared_ptr<const Language>;  // null: all texts

struct StringShape {
  SharedLanguage language = nullptr;  // only valid texts
  SharedLanguage wide = nullptr;      // all valid texts, and some more where a format is not exact
  size_t min = 0;                     // characters
  std::optional<size_t> max = {};
  bool is_all() const { return !language && min == 0 && !max; }
};

struct ArrayShape {
  struct Count {  // of items for which something holds
    Claims claims;
    size_t min = 1;
    std::optional<size_t> max = {};
    bool operator==(const Count&) const = default;
  };
  std::vector<Claims> prefix = {};
  Claims rest = {};
  size_t min = 0;
  std::optional<size_t> max = {};
  std::vector<Count> counts = {};
  bool unique = false;

  const Claims& at(size_t index) const { return index < prefix.size() ? prefix[index] : rest; }
};

// What a schema says of properties that it does not name.
enum class Said : uint8_t { kNothing, kDeclaresOthers, kAllows };

struct ObjectShape {
  struct Property {
    std::string name;
    Claims claims = {};
    bool required = false;
  };
  // Of the properties that are not named, those with these names.
  struct Others {
    SharedLanguage names = nullptr;
    Claims claims = {};
    Said said = Said::kNothing;
  };
  // There is a property of these names, for which something holds.
  struct Some {
    SharedLanguage names;
    Claims claims;
    bool operator==(const Some&) const = default;
  };
  std::vector<Property> properties = {};
  std::vector<Others> others = {{}};  // no name is in two; what is in none is forbidden
  std::vector<Some> some = {};
  size_t min = 0;
  std::optional<size_t> max = {};

  const Property* find(std::string_view name) const;
  Property& named(const std::string& name);  // what holds of it as one of the others, if it is new
  Claims claims_of(std::string_view name) const;
};

// What a schema and those it applies in place have looked at: the rest is `unevaluated`.
struct Evaluated {
  bool all_properties = false, all_items = false;
  std::set<std::string> names = {};
  std::vector<SharedLanguage> patterns = {};  // each once
  size_t items = 0;
};

struct Shape {
  Types types = kAllTypes;
  bool typed = false;  // a schema tells the types
  Types hinted = 0;    // those that its other keywords are about
  std::array<bool, 2> booleans = {true, true};
  NumberSet numbers = {};
  StringShape strings = {};
  std::optional<ArrayShape> arrays = {};
  std::optional<ObjectShape> objects = {};
  Evaluated evaluated = {};

  bool is_any() const;
  // A schema that does not say of which type its values are means those that it speaks of.
  Types meant() const { return !typed && hinted != 0 ? static_cast<Types>(types & hinted) : types; }
};

// Any of them; none: no value is valid.
using Shapes = std::vector<Shape>;

SharedLanguage meet(const SharedLanguage& a, const SharedLanguage& b);
// The values of both shapes; nullopt: there are none. Types of which none is left are left out;
// that nothing is left may go unnoticed where it depends on claims.
std::optional<Shape> meet(const Shape& a, const Shape& b);
// Leaves out types of which no value is left; false: none is.
bool settle(Shape& shape);

}  // namespace tessera::grammar
