#include "checkpoint/byte_alphabet.h"

#include <array>
#include <cstdint>
#include <unordered_map>

#include "base/utf8.h"

namespace tessera {
namespace {

struct Alphabet {
  std::array<std::string, 256> characters;
  std::unordered_map<std::string_view, unsigned char> bytes;

  Alphabet() {
    uint32_t next = 0x100;  // bytes that print badly get the characters from U+0100 on
    for (uint32_t byte = 0; byte < 256; ++byte) {
      const bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte != 0xAD);
      const uint32_t code = printable ? byte : next++;
      std::string& character = characters[byte];
      if (code < 0x80) {
        character = static_cast<char>(code);
      } else {
        character = {static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 0x3F))};
      }
    }
    for (size_t byte = 0; byte < 256; ++byte)
      bytes[characters[byte]] = static_cast<unsigned char>(byte);
  }
};

const Alphabet& alphabet() {
  static const Alphabet instance;
  return instance;
}

}  // namespace

std::string_view byte_to_alphabet(unsigned char byte) {
  return alphabet().characters[byte];
}

std::string to_alphabet(std::string_view text) {
  std::string letters;
  letters.reserve(text.size() + text.size() / 2);
  for (const char c : text) letters += byte_to_alphabet(static_cast<unsigned char>(c));
  return letters;
}

std::optional<std::string> bytes_from_alphabet(std::string_view text) {
  std::string bytes;
  while (!text.empty()) {
    const std::string_view character = text.substr(0, utf8_length_from_lead(text[0]));
    const auto found = alphabet().bytes.find(character);
    if (found == alphabet().bytes.end()) return std::nullopt;
    bytes += static_cast<char>(found->second);
    text.remove_prefix(character.size());
  }
  return bytes;
}

}  // namespace tessera
