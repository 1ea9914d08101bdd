#include "text/characters.h"

#include <cctype>
#include <string>

#include "base/utf8.h"
#include "text/newer_characters.h"
#include "text/regex.h"

namespace tessera {
namespace {

// Where the last character of `text` begins.
size_t last_begin(std::string_view text) {
  size_t begin = text.size() - 1;
  while (begin > 0 && text.size() - begin < 4 &&
         (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80)
    --begin;
  return begin;
}

}  // namespace

bool is_white_space(char32_t c) {
  return (c >= 0x9 && c <= 0xD) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

bool is_word_character(char32_t c) {
  static const Regex kWord("[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200c}\\x{200d}" +
                           newer_characters("L") + newer_characters("M") + newer_characters("Nd") +
                           "]");
  if (c < 0x80) return std::isalnum(static_cast<int>(c)) != 0 || c == '_';
  std::string character;
  append_utf8(character, c);
  Regex::Scratch scratch;
  return kWord.match(character, 0, scratch).has_value();
}

char32_t first_character(std::string_view text) {
  const Utf8Prefix prefix = inspect_utf8(text);
  if (prefix.kind != Utf8Prefix::Kind::kComplete) return 0;
  return decode_utf8(text.substr(0, prefix.length));
}

char32_t last_character(std::string_view text) {
  const std::string_view last = text.substr(last_begin(text));
  const Utf8Prefix prefix = inspect_utf8(last);
  const bool is_whole = prefix.kind == Utf8Prefix::Kind::kComplete && prefix.length == last.size();
  return is_whole ? decode_utf8(last) : 0;
}

size_t leading_white_space(std::string_view text) {
  size_t size = 0;
  while (size < text.size() && is_white_space(first_character(text.substr(size))))
    size += utf8_length_from_lead(text[size]);
  return size;
}

size_t trailing_white_space(std::string_view text) {
  size_t end = text.size();
  while (end > 0 && is_white_space(last_character(text.substr(0, end))))
    end = last_begin(text.substr(0, end));
  return text.size() - end;
}

}  // namespace tessera
