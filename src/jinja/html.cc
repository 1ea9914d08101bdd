#include "jinja/html.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/utf8.h"
#include "jinja/serialize.h"
#include "jinja/unicode.h"

namespace tessera::jinja {
namespace {

std::string_view reference_to(char c) {
  switch (c) {
    case '&':
      return "&amp;";
    case '<':
      return "&lt;";
    case '>':
      return "&gt;";
    case '"':
      return "&#34;";
    case '\'':
      return "&#39;";
    default:
      return {};
  }
}

struct Entity {
  std::string_view name;
  char32_t code;
};

constexpr Entity kEntities[] = {
    {"amp", '&'},       {"lt", '<'},        {"gt", '>'},        {"quot", '"'},
    {"apos", '\''},     {"bull", 0x2022},   {"hellip", 0x2026}, {"ndash", 0x2013},
    {"mdash", 0x2014},  {"lsquo", 0x2018},  {"rsquo", 0x2019},  {"sbquo", 0x201a},
    {"ldquo", 0x201c},  {"rdquo", 0x201d},  {"bdquo", 0x201e},  {"lsaquo", 0x2039},
    {"rsaquo", 0x203a}, {"dagger", 0x2020}, {"Dagger", 0x2021}, {"permil", 0x2030},
    {"euro", 0x20ac},   {"trade", 0x2122},  {"larr", 0x2190},   {"uarr", 0x2191},
    {"rarr", 0x2192},   {"darr", 0x2193},   {"harr", 0x2194},   {"minus", 0x2212},
    {"infin", 0x221e},  {"ne", 0x2260},     {"le", 0x2264},     {"ge", 0x2265},
    {"asymp", 0x2248},  {"OElig", 0x152},   {"oelig", 0x153},   {"Scaron", 0x160},
    {"scaron", 0x161},  {"Yuml", 0x178},    {"fnof", 0x192},    {"thinsp", 0x2009},
    {"ensp", 0x2002},   {"emsp", 0x2003},   {"zwnj", 0x200c},   {"zwj", 0x200d},
};

// U+00A0 to U+00FF, in order.
constexpr std::string_view kLatin1[] = {
    "nbsp",   "iexcl",  "cent",   "pound",  "curren", "yen",    "brvbar", "sect",   "uml",
    "copy",   "ordf",   "laquo",  "not",    "shy",    "reg",    "macr",   "deg",    "plusmn",
    "sup2",   "sup3",   "acute",  "micro",  "para",   "middot", "cedil",  "sup1",   "ordm",
    "raquo",  "frac14", "frac12", "frac34", "iquest", "Agrave", "Aacute", "Acirc",  "Atilde",
    "Auml",   "Aring",  "AElig",  "Ccedil", "Egrave", "Eacute", "Ecirc",  "Euml",   "Igrave",
    "Iacute", "Icirc",  "Iuml",   "ETH",    "Ntilde", "Ograve", "Oacute", "Ocirc",  "Otilde",
    "Ouml",   "times",  "Oslash", "Ugrave", "Uacute", "Ucirc",  "Uuml",   "Yacute", "THORN",
    "szlig",  "agrave", "aacute", "acirc",  "atilde", "auml",   "aring",  "aelig",  "ccedil",
    "egrave", "eacute", "ecirc",  "euml",   "igrave", "iacute", "icirc",  "iuml",   "eth",
    "ntilde", "ograve", "oacute", "ocirc",  "otilde", "ouml",   "divide", "oslash", "ugrave",
    "uacute", "ucirc",  "uuml",   "yacute", "thorn",  "yuml"};

std::optional<char32_t> entity(std::string_view name) {
  for (const Entity& entry : kEntities) {
    if (entry.name == name) return entry.code;
  }
  const auto latin = std::find(std::begin(kLatin1), std::end(kLatin1), name);
  if (latin == std::end(kLatin1)) return std::nullopt;
  return static_cast<char32_t>(0xa0 + (latin - std::begin(kLatin1)));
}

// "#8364", "#x20AC": what HTML 5 makes of it, which has its own mind about some.
std::optional<std::string> numeric_reference(std::string_view digits) {
  const bool is_hex = digits.starts_with('x') || digits.starts_with('X');
  if (is_hex) digits.remove_prefix(1);
  uint32_t code = 0;
  const auto [stop, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), code, is_hex ? 16 : 10);
  if (digits.empty() || stop != digits.data() + digits.size()) return std::nullopt;
  std::string out;
  const bool is_character = error == std::errc() && code != 0 && code <= 0x10ffff;
  const bool is_control =
      code < 0x20 && code != '\t' && code != '\n' && code != '\f' && code != '\r';
  if (is_character && (is_control || code == 0x7f)) return out;
  append_utf8(out, is_character ? code : 0xfffd);
  return out;
}

}  // namespace

std::string escape_html(std::string_view text, Budget& budget) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const std::string_view reference = reference_to(c);
    if (reference.empty()) {
      out += c;
    } else {
      out += reference;
      budget.check_text(out.size());
    }
  }
  return out;
}

Value escape(const Value& value, Budget& budget) {
  if (value.is_markup()) return value;
  const std::string* text = value.string();
  std::string escaped =
      text ? escape_html(*text, budget) : escape_html(to_text(value, budget), budget);
  budget.create_text(escaped.size());
  return Value::markup(std::move(escaped));
}

std::string unescape_html(std::string_view text) {
  constexpr size_t kLongestReference = 32;
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const size_t ampersand = std::min(text.find('&', i), text.size());
    out += text.substr(i, ampersand - i);
    i = ampersand;
    if (i == text.size()) break;
    const size_t length = text.substr(i, kLongestReference).find(';');
    const std::string_view name =
        length == text.npos ? std::string_view() : text.substr(i + 1, length - 1);
    std::optional<std::string> meaning;
    if (name.starts_with('#')) {
      meaning = numeric_reference(name.substr(1));
    } else if (const auto code = entity(name)) {
      append_utf8(meaning.emplace(), *code);
    }
    out += meaning ? *meaning : "&";
    i += meaning ? length + 1 : 1;
  }
  return out;
}

std::string strip_tags(std::string_view text) {
  std::string bare;
  size_t position = 0;
  for (size_t open = text.find('<'); open != text.npos; open = text.find('<', position)) {
    const bool is_comment = text.substr(open).starts_with("<!--");
    const std::string_view close = is_comment ? "-->" : ">";
    const size_t end = text.find(close, open + (is_comment ? 4 : 0));
    if (end == text.npos) break;  // what is not closed is text
    bare += text.substr(position, open - position);
    position = end + close.size();
  }
  bare += text.substr(position);
  std::string spaced;
  for (size_t i = 0; i < bare.size();) {
    const size_t at = i;
    if (!unicode::is_space(unicode::decode(bare, i))) {
      spaced.append(bare, at, i - at);
    } else if (!spaced.empty() && !spaced.ends_with(' ')) {
      spaced += ' ';
    }
  }
  if (spaced.ends_with(' ')) spaced.pop_back();
  return unescape_html(spaced);
}

}  // namespace tessera::jinja
