// Python's bytes, as str.encode() gives them.
#pragma once

#include <string>
#include <string_view>

#include "jinja/value.h"

namespace tessera::jinja {

// The encodings utf-8, ascii and latin-1, and what to do with a character that one lacks: strict
// (an Error), ignore, replace.
Value encode_text(std::string_view text, std::string_view encoding, std::string_view errors,
                  Budget& budget);

}  // namespace tessera::jinja
