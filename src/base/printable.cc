#include "base/printable.h"

#include <fmt/format.h>

#include <cstdint>
#include <iterator>

#include "base/utf8.h"

namespace tessera {
namespace {

// Characters that move the cursor, end a line, or reorder what a terminal shows.
bool is_harmful(char32_t c) {
  const bool control = c < 0x20 || (c >= 0x7f && c < 0xa0);
  const bool separator = c == 0x2028 || c == 0x2029;
  const bool direction = (c >= 0x200e && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) ||
                         (c >= 0x2066 && c <= 0x2069) || c == 0x061c;
  return control || separator || direction || c == 0xfeff;
}

void append_escape(std::string& out, char32_t c) {
  switch (c) {
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      break;
  }
  if (c < 0x80) {
    fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<uint32_t>(c));
  } else {
    fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<uint32_t>(c));
  }
}

}  // namespace

std::string printable(std::string_view text, size_t max_bytes) {
  std::string out;
  const size_t whole = text.size();
  while (!text.empty()) {
    // An invalid byte is shown by itself, not with the maximal subpart that it belongs to.
    const Utf8Prefix character = inspect_utf8(text);
    const bool complete = character.kind == Utf8Prefix::Kind::kComplete;
    const size_t length = complete ? character.length : 1;
    const char32_t code = complete ? decode_utf8(text.substr(0, length)) : 0;
    if (whole - text.size() + length > max_bytes) return out + "...";
    if (!complete) {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<uint8_t>(text[0]));
    } else if (code == '\\') {
      out += "\\\\";
    } else if (is_harmful(code)) {
      append_escape(out, code);
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length);
  }
  return out;
}

}  // namespace tessera
