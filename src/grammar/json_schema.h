// JSON schemas as grammars. What is generated is a subset of what a schema allows (numbers have
// bounded length, white space too), and always valid: what would not be kept is refused by name.
#pragma once

#include <string_view>

#include "grammar/syntax.h"

namespace tessera::grammar {

// Throws Error.
Syntax schema_syntax(std::string_view schema);

}  // namespace tessera::grammar
