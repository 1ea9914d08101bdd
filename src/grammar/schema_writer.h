// Writes the grammar of the values that are in claims: a rule for each set of claims, so that
// schemas may refer to themselves.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "grammar/json_schema.h"
#include "grammar/schema_shapes.h"
#include "grammar/syntax.h"

namespace tessera::grammar {

class SchemaWriter {
 public:
  SchemaWriter(std::string_view schema, Undeclared undeclared)
      : shapes_(schema), undeclared_(undeclared) {}
  // Throws Error.
  Syntax write();

 private:
  // What a rule has begun to be asked for: its body comes later.
  struct Pending {
    uint32_t rule;
    Claims claims;
  };

  uint32_t new_rule(std::string name, Expr body = {});
  Expr named(std::string name, Expr expr);
  template <typename Body>
  Expr shared(const char* name, Body body);

  // The texts of a language within a string, with its quotes.
  Expr quoted(const Language& language);
  Expr space();
  Expr comma() { return sequence({literal(","), space()}); }
  Expr colon() { return sequence({literal(":"), space()}); }
  Expr any_string();
  Expr any_number();
  Expr any_value();

  // Any value that is in all of `claims`.
  Expr value(const Claims& claims, std::string_view name);
  Expr body(const Claims& claims);
  Expr strings(const StringShape& shape);
  Expr numbers(const NumberSet& set);
  // schema_arrays.cc
  Expr arrays(const ArrayShape& shape, const Claims& of);
  Expr unique_items(const ArrayShape& shape, const Claims& of);
  std::vector<Expr> distinct_values(const Claims& claims, size_t most);
  // schema_objects.cc
  std::vector<ObjectShape> resolved(const ObjectShape& shape);
  Expr objects(const ObjectShape& shape, const Claims& of);
  Expr object(const ObjectShape& shape, const Claims& of);
  Expr member(const std::string& name, const Claims& claims);
  Expr other_member(const SharedLanguage& names, const ObjectShape& shape, const Claims& claims);
  Expr other_name(const SharedLanguage& names, const ObjectShape& shape);

  SchemaShapes shapes_;
  const Undeclared undeclared_;
  Syntax syntax_;
  std::map<Claims, uint32_t> rules_;
  std::map<std::pair<std::string, Claims>, uint32_t> members_;
  std::map<std::pair<SharedLanguage, std::vector<std::string>>, uint32_t> other_names_;
  std::map<std::string, uint32_t> shared_;
  std::vector<Pending> pending_;
};

}  // namespace tessera::grammar
