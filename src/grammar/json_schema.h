// JSON schemas as grammars. What is generated is a subset of what a schema allows (numbers have
// bounded length, white space too), and always valid: what would not be kept is refused by name.
#pragma once

#include <string_view>

#include "grammar/syntax.h"

namespace tessera::grammar {

// Properties that an object does not declare, where it declares some and says nothing of others:
// JSON schema allows them, but those who write a schema hardly ever mean that.
enum class Undeclared { kLeftOut, kGenerated };

// Throws Error.
Syntax schema_syntax(std::string_view schema, Undeclared undeclared = Undeclared::kLeftOut);

}  // namespace tessera::grammar
