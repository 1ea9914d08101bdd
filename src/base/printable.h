// Untrusted text made safe to show: names, keys and strings out of model files may hold terminal
// escape sequences, line breaks or bytes that are no text at all.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace tessera {

// One line of plain text: control characters, invisible direction marks, backslashes and bytes that
// are not UTF-8 become escapes (\n, \x1b, \u202e). Past `max_bytes` of input it ends in "...".
std::string printable(std::string_view text, size_t max_bytes = 120);

}  // namespace tessera
