// Sets of characters by their names, written for use within PCRE2's brackets, as Oniguruma 6.9.10
// has them.
#pragma once

#include <string>
#include <string_view>

namespace tessera {

// PCRE2's own \s has U+180E, too, which is no white space since Unicode 6.3.
inline constexpr std::string_view kSpace = "\\p{White_Space}", kNoSpace = "\\P{White_Space}";
inline constexpr std::string_view kHexDigit = "0-9A-Fa-f";

// Those of a general category: "L", "Lu".
std::string of_category(std::string_view name);

// \w within brackets, and outside of them.
std::string word_set();
std::string word_set_outside();

// The sets that POSIX names, general categories by their long names ("letternumber": in small
// letters, without spaces, hyphens and underscores), and some more; "" for another name.
std::string named_set(std::string_view name);

}  // namespace tessera
