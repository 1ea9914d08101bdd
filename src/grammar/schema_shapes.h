// From claims to shapes: a schema, its parts in place (allOf, anyOf, not, if, $ref, ...) and their
// negations as a list of shapes, any of which a value may have: a disjunctive normal form.
//
// A shape that cannot be said (that a string is not of a format whose texts are not known exactly)
// is left out where it comes from a negation: fewer values are generated, all of them valid. That
// it was is remembered: no conclusion is drawn from values not being of such shapes. What cannot be
// said otherwise is refused.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/schema_keywords.h"
#include "grammar/schema_shape.h"

namespace tessera::grammar {

class SchemaShapes {
 public:
  explicit SchemaShapes(std::string_view text) : document_(text), keywords_(document_) {}

  Claim root() const { return {&document_.root()}; }
  // Throw Error for what is malformed, not supported, or takes too much work.
  const Shapes& of(const Claims& claims);
  // Whether no value is known to be in all `claims`; false does not mean that there is one.
  bool is_empty(const Claims& claims, int depth = 4);
  // A keyword because of which a shape of what is in `claims` was left out; null: none was.
  const char* left_out(const Claims& claims);
  // Refuses, naming the place of the first of `claims`.
  [[noreturn]] void refuse(const Claims& claims, std::string_view what) const;

 private:
  const Shapes& together(const Claims& claims);
  struct Known {
    Shapes shapes;
    // A keyword because of which there may be values of none of `shapes`.
    const char* left_out;
  };
  const Known& known(const Claim& claim);
  const Shapes& of(const Claim& claim) { return known(claim).shapes; }
  // As a part of what is being looked at: what is left out of it is left out of the whole.
  const Shapes& part(const Claim& claim);
  void leave_out(const char* keyword);
  Shapes asserted(const Json& schema);
  Shapes negated(const Json& schema);
  void negate_values(const Json& schema, Shapes& any);
  void negate_scalars(const Json& schema, Shapes& any);
  void negate_arrays(const Json& schema, Shapes& any);
  void negate_objects(const Json& schema, Shapes& any);
  void negate_applied(const Json& schema, Shapes& any);

  static Shapes both(const Shapes& a, const Shapes& b);
  static void append(Shapes& to, const Shapes& from);
  Shapes constants(const Json& schema);
  Shapes any_of(const Json& schema, const char* keyword);
  Shapes one_of(const Json& schema, Types types);
  Shapes alone(const Json& schema, const std::vector<const Json*>& others, Types types);
  Shapes conditional(const Json& schema);
  Shapes dependent(const Json& schema, Shapes shapes);
  void restrict_names(const Json& schema, Shapes& shapes);
  void restrict_unevaluated(const Json& schema, Shape& shape);
  bool are_disjoint(const Shape& a, Shape b);
  bool is_empty(const Shape& shape, int depth);
  const Json& list_of(const Json& schema, const char* keyword) const;
  // The names that a schema of properties' names allows; nullopt if they cannot be said.
  std::optional<SharedLanguage> names_of(const Claim& claim);
  // A schema of this very value, an array or object.
  const Json& schema_of(const Json& value);
  const Json& keep(Json schema);

  SchemaDocument document_;
  SchemaKeywords keywords_;
  std::map<Claim, Known> known_;
  std::map<Claims, Shapes> known_together_;
  std::map<Claims, bool> known_empty_;
  std::set<Claim> open_;            // those that are being looked at
  const char* left_out_ = nullptr;  // of the last of them
  std::deque<Json> made_;
  std::map<std::string, const Json*> made_for_;  // by the value
};

}  // namespace tessera::grammar
