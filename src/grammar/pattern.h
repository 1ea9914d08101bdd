// Regular expressions of JSON schemas (`pattern`, and what `format` stands for) as expressions over
// the characters of a JSON string.
//
// Understood: literals, ., classes, \d \w \s and their negations, \uHHHH \xHH \n \t \r \f \v,
// groups, |, * + ? {m} {m,} {m,n} (also lazy), ^ at the beginning and $ at the end of an
// alternative. Without ^ or $ any text may stand before or after, as JSON schema has it. Anything
// else is refused.
#pragma once

#include <string_view>

#include "grammar/syntax.h"

namespace tessera::grammar {

// Without the quotes around the string. Throws Error.
Expr pattern_syntax(std::string_view pattern);

}  // namespace tessera::grammar
