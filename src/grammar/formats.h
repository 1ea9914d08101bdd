// What `format` of a JSON schema asks of strings.
#pragma once

#include <string_view>

#include "grammar/language.h"

namespace tessera::grammar {

struct Format {
  Language language;  // these texts are of the format
  bool exact;         // and no others are
};

// Kept once it is asked for. nullptr: of a format that is not known nothing is asked, as JSON
// schema has it. Thread-safe.
const Format* find_format(std::string_view name);

}  // namespace tessera::grammar
