// Pieces of JSON texts as expressions: what the schema translator is built from.
//
// White space is bounded, so that a model cannot fill its answer with it: one space, or a line
// break and up to 32 blanks. Numbers have up to 16 digits, fractions too, and exponents two: they
// fit a double.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

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

// Bounds of a number, whole numbers both; nullopt: none.
struct NumberRange {
  std::optional<int64_t> min, max;
  bool min_excluded = false, max_excluded = false;
};
// Error if no number is in the range.
Expr json_integer_in(const NumberRange& range);
Expr json_number_in(const NumberRange& range);

// The key of an object, quotes included, that is none of `keys`. It has no escapes: otherwise one
// of `keys` could be written in another way.
Expr json_other_key(std::vector<std::string> keys);

}  // namespace tessera::grammar
