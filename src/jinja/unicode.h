// Text as Python's str has it: a sequence of code points. Stored here as valid UTF-8, so indices
// count code points and must be turned into byte offsets. All functions expect valid UTF-8.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace tessera::jinja::unicode {

// Decodes the code point at `position` and moves `position` past it; 0 at the end.
char32_t decode(std::string_view text, size_t& position);

size_t length(std::string_view text);
// Byte offset of code point `index`; text.size() when there are fewer.
size_t offset(std::string_view text, size_t index);
std::u32string to_code_points(std::string_view text);
std::string to_utf8(std::u32string_view text);
// One view for each code point.
std::vector<std::string_view> split_code_points(std::string_view text);

bool is_space(char32_t c);
bool is_alpha(char32_t c);
bool is_decimal(char32_t c);    // a digit of a decimal system: "5", "٥"
bool is_digit(char32_t c);      // also "²" and "⑤"
bool is_numeric(char32_t c);    // also "½" and "五"
int decimal_value(char32_t c);  // 0 to 9, of what is_decimal()
bool is_word(char32_t c);       // \w in a Python regular expression
bool is_identifier_start(char32_t c);
bool is_identifier_part(char32_t c);
bool is_upper(char32_t c);
bool is_lower(char32_t c);
bool is_cased(char32_t c);
bool is_case_ignorable(char32_t c);  // stands inside a word without being a letter of it
bool is_printable(char32_t c);
bool is_line_break(char32_t c);

std::string upper(std::string_view text);
std::string lower(std::string_view text);
std::string case_fold(std::string_view text);
std::string swap_case(std::string_view text);
std::string capitalize(std::string_view text);  // first letter to title case, the others to lower
std::string title(std::string_view text);       // as str.title(): every run of letters

enum class Side { kLeft, kRight, kBoth };
// Removes white space, or the characters in `characters` unless that is nullptr.
std::string_view strip(std::string_view text, Side side = Side::kBoth,
                       const std::string_view* characters = nullptr);
std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends = false);

// Byte offset or npos, in linear time whatever the texts are (std::string::find is quadratic).
size_t find(std::string_view text, std::string_view needle, size_t from = 0);

}  // namespace tessera::jinja::unicode
