// Objects of JSON schemas: properties in the order of the schema, then others.
#pragma once

#include <string>

#include "grammar/schema_scope.h"

namespace tessera::grammar {

// `schema` speaks of objects. Throws Error.
Expr object_of(const Json& schema, const std::string& where, SchemaScope& scope);
Expr any_object(SchemaScope& scope);

}  // namespace tessera::grammar
