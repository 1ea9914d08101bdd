// GBNF, the notation for grammars of llama.cpp (grammars/README.md there describes it):
//
//   root  ::= "- " item ("\n- " item){0,9}   # comments, groups, * + ? {m} {m,} {m,n}
//   item  ::= [^\n]+ | .                     # classes, \xHH \uHHHH \UHHHHHHHH \n \r \t \\ \" \[ \]
//
// Token matches (<think>) are not supported.
#pragma once

#include <string_view>

#include "grammar/syntax.h"

namespace tessera::grammar {

// Throws Error with line and column. Only the syntax is checked; see Grammar for the rest.
Syntax parse_gbnf(std::string_view text);

}  // namespace tessera::grammar
