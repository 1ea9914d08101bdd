#include "base/utf8.h"

#include <algorithm>
#include <cstdint>

namespace tessera {
namespace {

struct Lead {
  size_t length;                      // 0: no character begins with this byte
  uint8_t second_first, second_last;  // what the second byte may be (Unicode table 3-7)
};

Lead classify_lead(uint8_t byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte >= 0xC2 && byte <= 0xDF) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};  // below: an overlong form
  if (byte == 0xED) return {3, 0x80, 0x9F};  // above: a surrogate
  if (byte >= 0xE1 && byte <= 0xEF) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};  // below: an overlong form
  if (byte == 0xF4) return {4, 0x80, 0x8F};  // above: beyond U+10FFFF
  if (byte >= 0xF1 && byte <= 0xF3) return {4, 0x80, 0xBF};
  return {0, 0, 0};
}

}  // namespace

Utf8Prefix inspect_utf8(std::string_view text) {
  const Lead lead = classify_lead(static_cast<uint8_t>(text[0]));
  if (lead.length == 0) return {Utf8Prefix::Kind::kInvalid, 1};
  for (size_t i = 1; i < lead.length; ++i) {
    if (i == text.size()) return {Utf8Prefix::Kind::kIncomplete, i};
    const auto byte = static_cast<uint8_t>(text[i]);
    const uint8_t first = i == 1 ? lead.second_first : 0x80;
    const uint8_t last = i == 1 ? lead.second_last : 0xBF;
    if (byte < first || byte > last) return {Utf8Prefix::Kind::kInvalid, i};
  }
  return {Utf8Prefix::Kind::kComplete, lead.length};
}

char32_t decode_utf8(std::string_view character) {
  char32_t c = static_cast<uint8_t>(character[0]);
  if (character.size() > 1) c &= 0x7Fu >> character.size();
  for (const char byte : character.substr(1)) c = c << 6 | (static_cast<uint8_t>(byte) & 0x3Fu);
  return c;
}

void append_utf8(std::string& text, char32_t c) {
  const auto put = [&](char32_t byte) { text += static_cast<char>(byte); };
  const auto put_tail = [&](int shift) { put(0x80 | (c >> shift & 0x3F)); };
  if (c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) {
    text += kReplacementCharacter;
  } else if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | c >> 6);
    put_tail(0);
  } else if (c < 0x10000) {
    put(0xE0 | c >> 12);
    put_tail(6);
    put_tail(0);
  } else {
    put(0xF0 | c >> 18);
    put_tail(12);
    put_tail(6);
    put_tail(0);
  }
}

bool is_valid_utf8(std::string_view text) {
  while (!text.empty()) {
    const Utf8Prefix prefix = inspect_utf8(text);
    if (prefix.kind != Utf8Prefix::Kind::kComplete) return false;
    text.remove_prefix(prefix.length);
  }
  return true;
}

std::string replace_invalid_bytes(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    const Utf8Prefix prefix = inspect_utf8(text);
    const bool complete = prefix.kind == Utf8Prefix::Kind::kComplete;
    result += complete ? text.substr(0, prefix.length) : kReplacementCharacter;
    text.remove_prefix(complete ? prefix.length : 1);
  }
  return result;
}

}  // namespace tessera
