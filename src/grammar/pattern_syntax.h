// The syntax tree of a regular expression.
#pragma once

#include <string_view>
#include <vector>

#include "grammar/syntax.h"

namespace tessera::grammar {

struct Pattern {
  enum class Kind { kChars, kSequence, kChoice, kRepeat, kLook };
  Kind kind = Kind::kSequence;
  CharSet chars = {};
  std::vector<Pattern> items = {};  // of a repeat and a look: one
  int min = 0, max = 0;             // of a repeat
  bool behind = false;              // a look: at what was read, or what comes
  bool negative = false;            // a look: that it is not there
};

// Throws Error.
Pattern parse_pattern(std::string_view pattern);

}  // namespace tessera::grammar
