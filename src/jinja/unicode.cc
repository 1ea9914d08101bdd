#include "jinja/unicode.h"

#include <string.h>
#include <utf8proc.h>

#include "base/utf8.h"

namespace tessera::jinja::unicode {
namespace {

utf8proc_category_t category(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

char32_t to_upper(char32_t c) {
  return static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c)));
}

char32_t to_lower(char32_t c) {
  return static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
}

char32_t to_title(char32_t c) {
  return static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(c)));
}

// The one common letter whose upper case is two letters.
constexpr char32_t kSharpS = 0xdf;

void append_upper(std::string& out, char32_t c) {
  if (c == kSharpS) {
    out += "SS";
  } else {
    append_utf8(out, to_upper(c));
  }
}

void append_title(std::string& out, char32_t c) {
  if (c == kSharpS) {
    out += "Ss";
  } else {
    append_utf8(out, to_title(c));
  }
}

template <typename Append>
std::string map_code_points(std::string_view text, Append&& append_mapped) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) append_mapped(out, decode(text, i));
  return out;
}

bool contains(std::string_view characters, char32_t wanted) {
  for (size_t i = 0; i < characters.size();) {
    if (decode(characters, i) == wanted) return true;
  }
  return false;
}

}  // namespace

char32_t decode(std::string_view text, size_t& position) {
  if (position >= text.size()) return 0;
  const auto character = text.substr(position, utf8_length_from_lead(text[position]));
  position += character.size();
  return decode_utf8(character);
}

size_t length(std::string_view text) {
  size_t count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  return count;
}

size_t offset(std::string_view text, size_t index) {
  size_t position = 0;
  for (; index > 0 && position < text.size(); --index) decode(text, position);
  return position;
}

std::vector<std::string_view> split_code_points(std::string_view text) {
  std::vector<std::string_view> out;
  for (size_t i = 0; i < text.size();) {
    const size_t start = i;
    decode(text, i);
    out.push_back(text.substr(start, i - start));
  }
  return out;
}

bool is_space(char32_t c) {
  return (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
         c == 0x3000;
}

bool is_alpha(char32_t c) {
  const auto kind = category(c);
  return kind >= UTF8PROC_CATEGORY_LU && kind <= UTF8PROC_CATEGORY_LO;
}

bool is_digit(char32_t c) {
  return category(c) == UTF8PROC_CATEGORY_ND;
}

bool is_word(char32_t c) {
  const auto kind = category(c);
  return c == '_' || is_alpha(c) || kind == UTF8PROC_CATEGORY_ND || kind == UTF8PROC_CATEGORY_NL ||
         kind == UTF8PROC_CATEGORY_NO;
}

bool is_upper(char32_t c) {
  return category(c) == UTF8PROC_CATEGORY_LU;
}
bool is_lower(char32_t c) {
  return category(c) == UTF8PROC_CATEGORY_LL;
}
bool is_cased(char32_t c) {
  return is_upper(c) || is_lower(c) || category(c) == UTF8PROC_CATEGORY_LT;
}

bool is_printable(char32_t c) {
  if (c == ' ') return true;
  switch (category(c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

bool is_line_break(char32_t c) {
  return (c >= 10 && c <= 13) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

std::string upper(std::string_view text) {
  return map_code_points(text, append_upper);
}

std::string lower(std::string_view text) {
  return map_code_points(text, [](std::string& out, char32_t c) { append_utf8(out, to_lower(c)); });
}

std::string swap_case(std::string_view text) {
  return map_code_points(text, [](std::string& out, char32_t c) {
    if (is_lower(c)) {
      append_upper(out, c);
    } else {
      append_utf8(out, to_lower(c));
    }
  });
}

std::string capitalize(std::string_view text) {
  return map_code_points(text, [first = true](std::string& out, char32_t c) mutable {
    if (first) {
      append_title(out, c);
    } else {
      append_utf8(out, to_lower(c));
    }
    first = false;
  });
}

std::string title(std::string_view text) {
  return map_code_points(text, [inside_word = false](std::string& out, char32_t c) mutable {
    if (inside_word) {
      append_utf8(out, to_lower(c));
    } else {
      append_title(out, c);
    }
    inside_word = is_cased(c);
  });
}

std::string_view strip(std::string_view text, Side side, const std::string_view* characters) {
  const auto unwanted = [&](char32_t c) {
    return characters ? contains(*characters, c) : is_space(c);
  };
  size_t begin = 0;
  size_t end = text.size();
  if (side != Side::kRight) {
    while (begin < end) {
      size_t next = begin;
      if (!unwanted(decode(text, next))) break;
      begin = next;
    }
  }
  if (side != Side::kLeft) {
    while (end > begin) {
      size_t last = end - 1;
      while (last > begin && (static_cast<unsigned char>(text[last]) & 0xc0) == 0x80) --last;
      size_t next = last;
      if (!unwanted(decode(text, next))) break;
      end = last;
    }
  }
  return text.substr(begin, end - begin);
}

std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string_view> lines;
  size_t start = 0;
  for (size_t i = 0; i < text.size();) {
    const size_t line_end = i;
    const char32_t c = decode(text, i);
    if (!is_line_break(c)) continue;
    if (c == '\r' && i < text.size() && text[i] == '\n') ++i;
    lines.push_back(text.substr(start, (keep_ends ? i : line_end) - start));
    start = i;
  }
  if (start < text.size()) lines.push_back(text.substr(start));
  return lines;
}

size_t find(std::string_view text, std::string_view needle, size_t from) {
  if (from > text.size()) return std::string_view::npos;
  if (needle.empty()) return from;
  const void* found = memmem(text.data() + from, text.size() - from, needle.data(), needle.size());
  if (!found) return std::string_view::npos;
  return static_cast<size_t>(static_cast<const char*>(found) - text.data());
}

}  // namespace tessera::jinja::unicode
