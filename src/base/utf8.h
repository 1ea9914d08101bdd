// UTF-8 as Unicode section 3.9 defines it: shortest forms only, no surrogates, up to U+10FFFF.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace tessera {

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";  // U+FFFD

struct Utf8Prefix {
  enum class Kind { kComplete, kIncomplete, kInvalid };
  Kind kind;
  // kComplete: the character's bytes. kIncomplete: all of the text, which more bytes could
  // complete. kInvalid: the bytes of the maximal subpart that one U+FFFD replaces, at least 1.
  size_t length;
};

// Looks at the first character of `text`, which is not empty.
Utf8Prefix inspect_utf8(std::string_view text);

// The code point of `character`: of all the bytes that inspect_utf8() calls complete.
char32_t decode_utf8(std::string_view character);
// Surrogates and values beyond U+10FFFF are written as U+FFFD.
void append_utf8(std::string& text, char32_t code_point);

// True if all of `text` is valid UTF-8.
bool is_valid_utf8(std::string_view text);

// A copy in which every byte that belongs to no character is U+FFFD (one for each byte, not for
// each maximal subpart: this is what llama.cpp feeds to its byte-level tokenizers).
std::string replace_invalid_bytes(std::string_view text);

// The length that a lead byte promises, 1 for a byte that leads nothing. SentencePiece models cut
// even invalid text with it.
constexpr size_t utf8_length_from_lead(char byte) {
  const auto lead = static_cast<unsigned char>(byte);
  return lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

}  // namespace tessera
