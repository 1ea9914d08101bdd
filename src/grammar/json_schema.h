// JSON schemas as grammars. What is generated is a subset of what a schema allows (objects list
// their properties in the order of the schema, numbers have bounded length, white space too), and
// always valid: a keyword that would not be kept is refused by name.
#pragma once

#include <string_view>

#include "grammar/syntax.h"

namespace tessera::grammar {

// Throws Error.
Syntax schema_syntax(std::string_view schema);

}  // namespace tessera::grammar
