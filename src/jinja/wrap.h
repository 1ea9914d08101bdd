// Text and values laid out in lines, as Python's textwrap and pprint do it.
#pragma once

#include <string>
#include <string_view>

#include "jinja/value.h"

namespace tessera::jinja {

struct WrapStyle {
  int64_t width = 79;  // in characters
  bool break_long_words = true;
  bool break_on_hyphens = true;
  std::string separator = "\n";  // between the lines
};
// Each line of the text on its own. Error if the width is not positive.
std::string wrap_words(std::string_view text, const WrapStyle& style, Budget& budget);

// pprint.pformat(): repr() on one line where 80 characters hold it, else an item a line.
std::string pretty(const Value& value, Budget& budget);

}  // namespace tessera::jinja
