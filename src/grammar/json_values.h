// Pieces of JSON texts as expressions: what the schema translator is built from.
//
// White space is bounded, so that a model cannot fill its answer with it: one space, or a line
// break and up to 32 blanks. Numbers have up to 16 digits, fractions too, and exponents two: they
// fit a double.
#pragma once

#include <string>
#include <string_view>

#include "base/function_ref.h"
#include "grammar/language.h"
#include "grammar/syntax.h"

namespace tessera::grammar {

Expr json_space();
// One character of a string, escapes included. A surrogate only comes as one of a pair.
Expr json_character();
// One of `set` within a string, escaped where it must be.
Expr json_characters(const CharSet& set);
// `text` as it stands within a string.
std::string json_escaped(std::string_view text);

Expr json_integer();
Expr json_number();

// The texts of `language`: within a string, each written in one way, and as they are. Of a large
// language, what reads one character may stand in many places: `outlined` makes it a rule.
Expr json_text(const Language& language, FunctionRef<Expr(Expr)> outlined);
// Those of its texts that need no escapes.
Expr unescaped_text(const Language& language);
Expr plain_text(const Language& language);

}  // namespace tessera::grammar
