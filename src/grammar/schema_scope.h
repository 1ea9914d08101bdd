// What the parts of the schema translator share.
#pragma once

#include <string>

#include "grammar/schema_merge.h"
#include "grammar/syntax.h"

namespace tessera::grammar {

// The translator, as its parts see it. `where` is a schema's place, for errors.
class SchemaScope {
 public:
  virtual ~SchemaScope() = default;
  virtual Expr value(const Json& schema, const std::string& where) = 0;
  virtual Expr any_value() = 0;
  virtual Expr any_string() = 0;
  virtual Expr space() = 0;
  // For an expression that is to stand in several places: copies of copies would be without number.
  virtual Expr named(std::string name, Expr expr) = 0;

  Expr comma() { return sequence({literal(","), space()}); }
  Expr colon() { return sequence({literal(":"), space()}); }
};

// The keyword's value, which must be a count (minItems, maxLength and the like).
int count_of(const Json& schema, const char* keyword, int otherwise, const std::string& where);
// Throws Error if `max` is less than `min`.
void check_order(int min, int max, const char* what, const std::string& where);

// Members of a list that are one expression in the other; then a rule begins.
inline constexpr size_t kChain = 16;

}  // namespace tessera::grammar
