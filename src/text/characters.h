// What Unicode says of characters, as far as tokenizers ask.
#pragma once

#include <cstddef>
#include <string_view>

namespace tessera {

bool is_white_space(char32_t c);

// A letter, mark, digit or connector: \w of Unicode's regular expressions (UTS 18, annex C).
bool is_word_character(char32_t c);

// The characters at the ends of `text`, which is not empty; 0 for a byte that belongs to none.
char32_t first_character(std::string_view text);
char32_t last_character(std::string_view text);

// The bytes of white space that `text` begins and ends with.
size_t leading_white_space(std::string_view text);
size_t trailing_white_space(std::string_view text);

}  // namespace tessera
