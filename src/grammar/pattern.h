// Regular expressions of JSON schemas (ECMA 262) as languages.
//
// Understood: literals, ., classes, \d \w \s and their negations, \uHHHH \xHH \cX \n \t \r \f \v
// \0, groups (named and not), |, * + ? {m} {m,} {m,n} (also lazy), ^ $ \b \B, and looking ahead and
// behind: (?=...) (?!...) (?<=...) (?<!...). Refused by name: back references, \p, flags, and
// looking back or ahead from within what looks the other way.
#pragma once

#include <string_view>

#include "grammar/language.h"

namespace tessera::grammar {

// All texts in which `pattern` is found. Throws Error.
Language pattern_language(std::string_view pattern);

}  // namespace tessera::grammar
