// The oldest PCRE2 that we build with knows Unicode 14, Oniguruma 6.9.10 knows 16. What lies
// between.
#pragma once

#include <string>
#include <string_view>

namespace tessera {

// The characters of a general category ("Lu"), or of all that begin so ("L"), that Unicode 15.0 to
// 16.0 brought, for use within PCRE2's brackets; "" if there are none.
std::string newer_characters(std::string_view category);

}  // namespace tessera
