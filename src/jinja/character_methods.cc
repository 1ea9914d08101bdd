// Methods of str that look at single characters: their kind, their case, their bytes.
// https://docs.python.org/3/library/stdtypes.html#string-methods
#include <algorithm>

#include "base/utf8.h"
#include "jinja/builtins.h"
#include "jinja/bytes.h"
#include "jinja/html.h"
#include "jinja/unicode.h"

namespace tessera::jinja {
namespace {

const std::string& self(const Call& call) {
  return *call.self.string();
}

template <std::string (*transform)(std::string_view)>
Value transformed(const Call& call) {
  call.no_arguments();
  return transform(self(call));
}

// Whether there are characters and all of them satisfy the predicate.
template <bool (*predicate)(char32_t)>
Value all_of(const Call& call) {
  call.no_arguments();
  for (size_t i = 0; i < self(call).size();) {
    if (!predicate(unicode::decode(self(call), i))) return false;
  }
  return !self(call).empty();
}

bool is_alphanumeric(char32_t c) {
  return unicode::is_alpha(c) || unicode::is_numeric(c);
}

// Whether there are cased letters and all of them satisfy the predicate.
template <bool (*predicate)(char32_t)>
Value all_cased(const Call& call) {
  Arguments none;
  const char* test = predicate == unicode::is_upper ? "upper" : "lower";
  return call.interpreter.apply_test(test, call.self, none);
}

Value is_title(const Call& call) {
  call.no_arguments();
  const std::string& text = self(call);
  return unicode::title(text) == text && unicode::lower(text) != unicode::upper(text);
}

Value is_ascii(const Call& call) {
  call.no_arguments();
  return std::all_of(self(call).begin(), self(call).end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

Value is_identifier(const Call& call) {
  call.no_arguments();
  const std::string& text = self(call);
  for (size_t i = 0; i < text.size();) {
    const bool first = i == 0;
    const char32_t c = unicode::decode(text, i);
    if (!(first ? unicode::is_identifier_start(c) : unicode::is_identifier_part(c))) return false;
  }
  return !text.empty();
}

// Tabs as spaces up to the next column that the size divides.
Value expand_tabs(const Call& call) {
  const int64_t size = std::max<int64_t>(call.bind({"tabsize"}).integer(0, 8), 0);
  std::string out;
  int64_t column = 0;
  for (size_t i = 0; i < self(call).size();) {
    const size_t at = i;
    const char32_t c = unicode::decode(self(call), i);
    if (c == '\t') {
      const int64_t spaces = size == 0 ? 0 : size - column % size;
      call.budget().create_text(out.size() + static_cast<size_t>(spaces));
      out.append(static_cast<size_t>(spaces), ' ');
      column += spaces;
    } else {
      out.append(self(call), at, i - at);
      column = c == '\n' || c == '\r' ? 0 : column + 1;
    }
  }
  return out;
}

Value is_printable(const Call& call) {
  call.no_arguments();
  for (size_t i = 0; i < self(call).size();) {
    if (!unicode::is_printable(unicode::decode(self(call), i))) return false;
  }
  return true;
}

// str.maketrans(): a dictionary of code points for translate().
Value make_translation(const Call& call) {
  const Bound bound = call.bind({"x", "y", "z"}, 1);
  auto table = std::make_shared<Dict>();
  const auto code = [](std::string_view character) {
    size_t i = 0;
    return Value(static_cast<int64_t>(unicode::decode(character, i)));
  };
  const auto put = [&](const Value& from, Value to) {
    call.budget().create_items<Dict::Entry>(2);
    table->set(from, std::move(to));
  };
  if (!bound.has(1)) {
    const Dict* given = bound[0].defined().dict();
    if (!given) fail("maketrans() with one argument expects a mapping");
    for (const auto& [key, value] : given->entries()) {
      if (key.string() && unicode::length(*key.string()) != 1) {
        fail("maketrans(): a key must be one character");
      }
      put(key.string() ? code(*key.string()) : key, value);
    }
    return table;
  }
  const std::string from = bound.text(0, ""), to = bound.text(1, ""), removed = bound.text(2, "");
  const auto sources = unicode::split_code_points(from), targets = unicode::split_code_points(to);
  if (sources.size() != targets.size()) fail("maketrans(): the two texts have different lengths");
  for (size_t i = 0; i < sources.size(); ++i) put(code(sources[i]), code(targets[i]));
  for (const std::string_view character : unicode::split_code_points(removed)) {
    put(code(character), {});
  }
  return table;
}

Value translate(const Call& call) {
  const Value table = call.bind({"table"}, 1)[0].defined();
  if (!table.dict()) fail("translate() expects a mapping, found {}", table.type_name());
  std::string out;
  for (size_t i = 0; i < self(call).size();) {
    const size_t at = i;
    const char32_t c = unicode::decode(self(call), i);
    const Value* found = table.dict()->find(Value(static_cast<int64_t>(c)));
    call.budget().step();
    if (!found) {
      out.append(self(call), at, i - at);
    } else if (const std::string* text = found->string()) {
      out += *text;
    } else if (const auto code = found->integer()) {
      if (*code < 0 || *code > 0x10ffff) fail("translate(): {} is no character", *code);
      append_utf8(out, static_cast<char32_t>(*code));
    } else if (!found->is_none()) {
      fail("translate(): a character becomes a character, a string or None");
    }
    call.budget().check_text(out.size());
  }
  return out;
}

Value encode(const Call& call) {
  const Bound bound = call.bind({"encoding", "errors"});
  return encode_text(self(call), bound.text(0, "utf-8"), bound.text(1, "strict"), call.budget());
}

Value unescape(const Call& call) {
  call.no_arguments();
  return unescape_html(self(call));
}

Value striptags(const Call& call) {
  call.no_arguments();
  return strip_tags(self(call));
}

}  // namespace

const BuiltinTable& character_methods() {
  static const BuiltinTable table = {
      {"capitalize", transformed<unicode::capitalize>},
      {"casefold", transformed<unicode::case_fold>},
      {"encode", encode},
      {"expandtabs", expand_tabs},
      {"isalnum", all_of<is_alphanumeric>},
      {"isalpha", all_of<unicode::is_alpha>},
      {"isascii", is_ascii},
      {"isdecimal", all_of<unicode::is_decimal>},
      {"isdigit", all_of<unicode::is_digit>},
      {"isidentifier", is_identifier},
      {"islower", all_cased<unicode::is_lower>},
      {"isnumeric", all_of<unicode::is_numeric>},
      {"isprintable", is_printable},
      {"isspace", all_of<unicode::is_space>},
      {"istitle", is_title},
      {"isupper", all_cased<unicode::is_upper>},
      {"lower", transformed<unicode::lower>},
      {"maketrans", make_translation},
      {"swapcase", transformed<unicode::swap_case>},
      {"title", transformed<unicode::title>},
      {"translate", translate},
      {"upper", transformed<unicode::upper>},
  };
  return table;
}

const BuiltinTable& markup_methods() {
  static const BuiltinTable table = {
      {"striptags", striptags},
      {"unescape", unescape},
  };
  return table;
}

}  // namespace tessera::jinja
