// Text as HTML, and back.
#pragma once

#include <string>
#include <string_view>

#include "jinja/value.h"

namespace tessera::jinja {

// & < > " ' as character references.
std::string escape_html(std::string_view text, Budget& budget);
// The value's text as Markup; Markup stays as it is.
Value escape(const Value& value, Budget& budget);

// Character references as what they stand for: numbers, and the names of HTML 4 for Latin-1 and
// common punctuation. (Python knows HTML 5's two thousand names; others stay as they are here.)
std::string unescape_html(std::string_view text);
// Without tags and comments, runs of white space as one space, unescaped.
std::string strip_tags(std::string_view text);

// Text with addresses of the web and of mail as links. `attributes` is put into each link's tag;
// longer texts of links than `limit` characters end in "..."; negative: no limit.
struct LinkStyle {
  int64_t limit = -1;
  std::string attributes;
  std::vector<std::string> extra_schemes;  // "ftp://", "tel:"
};
std::string link_addresses(std::string_view text, const LinkStyle& style, Budget& budget);

}  // namespace tessera::jinja
