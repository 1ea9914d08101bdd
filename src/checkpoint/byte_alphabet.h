// GPT-2's alphabet: a printable character for each byte, so that vocabulary files are readable
// text.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tessera {

// The UTF-8 of the character that stands for `byte`.
std::string_view byte_to_alphabet(unsigned char byte);

// All bytes of `text`.
std::string to_alphabet(std::string_view text);

// The bytes that `text` stands for; nullopt if one of its characters is not of the alphabet.
std::optional<std::string> bytes_from_alphabet(std::string_view text);

}  // namespace tessera
