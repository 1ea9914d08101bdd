// Methods of str that search, cut and fill in.
// https://docs.python.org/3/library/stdtypes.html#string-methods
#include <algorithm>

#include "jinja/builtins.h"
#include "jinja/html.h"
#include "jinja/operators.h"
#include "jinja/percent_format.h"
#include "jinja/serialize.h"
#include "jinja/text_operations.h"
#include "jinja/unicode.h"

namespace tessera::jinja {
namespace {

const std::string& self(const Call& call) {
  return *call.self.string();
}

template <unicode::Side side>
Value strip(const Call& call) {
  const Bound bound = call.bind({"chars"});
  if (!bound.given(0)) return unicode::strip(self(call), side);
  const std::string characters = bound.text(0, "");
  const std::string_view view = characters;
  call.budget().step(1 + self(call).size() * characters.size() / 32);
  return unicode::strip(self(call), side, &view);
}

// The part of the text that optional bounds, in characters, choose.
struct Window {
  std::string_view text;
  size_t first_index = 0;  // of its first character in the whole text
  bool valid = true;       // false if it starts beyond the end
};

Window window(const Call& call, const Bound& bound, size_t start_parameter) {
  const auto size = static_cast<int64_t>(unicode::length(self(call)));
  const auto place = [&](size_t parameter, int64_t otherwise) {
    int64_t index = bound.given(parameter) ? bound.integer(parameter, 0) : otherwise;
    if (index < 0) index = std::max<int64_t>(index + size, 0);
    return index;
  };
  const int64_t start = place(start_parameter, 0);
  const int64_t stop = std::min(place(start_parameter + 1, size), size);
  if (start > stop) return {{}, 0, false};
  const std::string_view text = self(call);
  const size_t begin = unicode::offset(text, static_cast<size_t>(start));
  const std::string_view rest = text.substr(begin);
  return {rest.substr(0, unicode::offset(rest, static_cast<size_t>(stop - start))),
          static_cast<size_t>(start)};
}

template <bool at_start>
Value has_affix(const Call& call) {
  const Bound bound = call.bind({"affix", "start", "end"}, 1);
  const Window part = window(call, bound, 1);
  const auto matches = [&](const Value& affix) {
    const std::string* text = affix.string();
    if (!text) fail("{}() expects a string or a tuple of strings", call.name);
    return part.valid && (at_start ? part.text.starts_with(*text) : part.text.ends_with(*text));
  };
  if (const List* affixes = bound[0].list(); affixes && affixes->is_tuple()) {
    return std::any_of(affixes->items.begin(), affixes->items.end(), matches);
  }
  return matches(bound[0].defined());
}

// The last occurrence: std::string::rfind takes quadratic time.
size_t find_last(std::string_view text, std::string_view needle) {
  const std::string reversed_text(text.rbegin(), text.rend());
  const std::string reversed_needle(needle.rbegin(), needle.rend());
  const size_t found = unicode::find(reversed_text, reversed_needle);
  return found == text.npos ? found : text.size() - found - needle.size();
}

template <bool from_right, bool must_exist>
Value find(const Call& call) {
  const Bound bound = call.bind({"sub", "start", "end"}, 1);
  const Window part = window(call, bound, 1);
  const std::string needle = bound.text(0, "");
  const size_t found = !part.valid  ? std::string::npos
                       : from_right ? find_last(part.text, needle)
                                    : unicode::find(part.text, needle);
  if (found != std::string::npos)
    return part.first_index + unicode::length(part.text.substr(0, found));
  if (must_exist) fail("{}(): substring not found", call.name);
  return -1;
}

Value count(const Call& call) {
  const Bound bound = call.bind({"sub", "start", "end"}, 1);
  const Window part = window(call, bound, 1);
  const std::string needle = bound.text(0, "");
  if (!part.valid) return 0;
  if (needle.empty()) return unicode::length(part.text) + 1;
  int64_t occurrences = 0;
  for (size_t at = unicode::find(part.text, needle); at != std::string::npos;
       at = unicode::find(part.text, needle, at + needle.size())) {
    ++occurrences;
  }
  return occurrences;
}

// A text to put into the method's own: escaped, if that is Markup.
std::string text_for(const Call& call, const Value& value) {
  if (!value.defined().string()) {
    fail("{}() expects a string, found {}", call.name, value.type_name());
  }
  return call.self.is_markup() ? *escape(value, call.budget()).string() : *value.string();
}

Value replace(const Call& call) {
  const Bound bound = call.bind({"old", "new", "count"}, 2);
  return replace_all(self(call), bound.text(0, ""), text_for(call, bound[1]), bound.integer(2, -1),
                     call.budget());
}

Value join(const Call& call) {
  const Value items = call.bind({"iterable"}, 1)[0].defined();
  std::string out;
  bool first = true;
  for (const Value& item : iterate(items, call.budget())) {
    const std::string text = text_for(call, item);
    if (!first) out += self(call);
    first = false;
    call.budget().check_text(out.size() + text.size());
    call.budget().scan(self(call).size() + text.size());
    out += text;
  }
  return out;
}

Value to_list(const Call& call, const std::vector<std::string_view>& pieces) {
  call.budget().create_items<Value>(2 * pieces.size());
  return make_list({pieces.begin(), pieces.end()});
}

// Byte offset of the first character of the last word; the text does not end in white space.
size_t last_word(std::string_view text) {
  size_t word = text.size();
  while (word > 0) {
    size_t previous = word - 1;
    while (previous > 0 && (static_cast<unsigned char>(text[previous]) & 0xc0) == 0x80) --previous;
    size_t next = previous;
    if (unicode::is_space(unicode::decode(text, next))) break;
    word = previous;
  }
  return word;
}

size_t first_word_end(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const size_t at = i;
    if (unicode::is_space(unicode::decode(text, i))) return at;
  }
  return text.size();
}

// Runs of white space separate; the ends do not count. What the limit leaves unsplit keeps the
// white space at its far end.
std::vector<std::string_view> split_words(std::string_view text, int64_t limit, bool from_right) {
  std::vector<std::string_view> words;
  const auto side = from_right ? unicode::Side::kRight : unicode::Side::kLeft;
  for (text = unicode::strip(text, side); !text.empty(); text = unicode::strip(text, side)) {
    const bool is_rest = limit >= 0 && static_cast<int64_t>(words.size()) >= limit;
    const size_t begin = from_right && !is_rest ? last_word(text) : 0;
    const size_t end = from_right || is_rest ? text.size() : first_word_end(text);
    words.push_back(text.substr(begin, end - begin));
    text = from_right ? text.substr(0, begin) : text.substr(end);
  }
  if (from_right) std::reverse(words.begin(), words.end());
  return words;
}

std::vector<std::string_view> split_at(std::string_view text, std::string_view separator,
                                       int64_t limit, bool from_right) {
  std::vector<size_t> places;
  if (from_right && limit >= 0) {
    std::string_view rest = text;
    while (static_cast<int64_t>(places.size()) < limit) {
      const size_t at = find_last(rest, separator);
      if (at == rest.npos) break;
      places.push_back(at);
      rest = rest.substr(0, at);
    }
    std::reverse(places.begin(), places.end());
  } else {
    for (size_t at = 0; limit < 0 || static_cast<int64_t>(places.size()) < limit;
         at += separator.size()) {
      at = unicode::find(text, separator, at);
      if (at == text.npos) break;
      places.push_back(at);
    }
  }
  std::vector<std::string_view> pieces;
  size_t begin = 0;
  for (const size_t at : places) {
    pieces.push_back(text.substr(begin, at - begin));
    begin = at + separator.size();
  }
  pieces.push_back(text.substr(begin));
  return pieces;
}

template <bool from_right>
Value split(const Call& call) {
  const Bound bound = call.bind({"sep", "maxsplit"});
  const int64_t limit = bound.integer(1, -1);
  // From the right, each split looks at all that is left.
  if (from_right)
    call.budget().step(static_cast<uint64_t>(std::clamp<int64_t>(limit, 1, 1 << 20)) *
                       (1 + self(call).size() / 32));
  if (!bound.given(0)) {
    return to_list(call, split_words(self(call), limit, from_right && limit >= 0));
  }
  const std::string separator = bound.text(0, "");
  if (separator.empty()) fail("{}(): empty separator", call.name);
  return to_list(call, split_at(self(call), separator, limit, from_right));
}

Value split_lines(const Call& call) {
  return to_list(call, unicode::split_lines(self(call), call.bind({"keepends"}).truth(0, false)));
}

template <bool from_right>
Value partition(const Call& call) {
  const std::string separator = call.bind({"sep"}, 1).text(0, "");
  if (separator.empty()) fail("{}(): empty separator", call.name);
  const std::string& text = self(call);
  const size_t at = from_right ? find_last(text, separator) : unicode::find(text, separator);
  if (at == text.npos) return from_right ? make_tuple({"", "", text}) : make_tuple({text, "", ""});
  return make_tuple({text.substr(0, at), separator, text.substr(at + separator.size())});
}

Value remove_prefix(const Call& call) {
  const std::string prefix = call.bind({"prefix"}, 1).text(0, "");
  return self(call).starts_with(prefix) ? self(call).substr(prefix.size()) : self(call);
}

Value remove_suffix(const Call& call) {
  const std::string suffix = call.bind({"suffix"}, 1).text(0, "");
  return self(call).ends_with(suffix) ? self(call).substr(0, self(call).size() - suffix.size())
                                      : self(call);
}

template <Alignment alignment>
Value justify(const Call& call) {
  const Bound bound = call.bind({"width", "fillchar"}, 1);
  return pad(self(call), bound.integer(0, 0), bound.text(1, " "), alignment, call.budget());
}

Value zero_fill(const Call& call) {
  const int64_t width = call.bind({"width"}, 1).integer(0, 0);
  const bool has_sign = self(call).starts_with('-') || self(call).starts_with('+');
  const std::string sign = self(call).substr(0, has_sign);
  const int64_t rest = width > 0 ? width - has_sign : 0;
  return sign + pad(self(call).substr(has_sign), rest, "0", Alignment::kRight, call.budget());
}

Value format(const Call& call) {
  return brace_format(call.self, call.arguments, call.budget());
}

Value format_map(const Call& call) {
  const Value values = call.bind({"mapping"}, 1)[0].defined();
  if (!values.dict()) fail("format_map() expects a mapping, found {}", values.type_name());
  Arguments arguments;
  call.budget().create_items<Dict::Entry>(values.dict()->entries().size());
  for (const auto& [key, value] : values.dict()->entries()) {
    if (key.string()) arguments.named.emplace_back(*key.string(), value);
  }
  return brace_format(call.self, arguments, call.budget());
}

}  // namespace

const BuiltinTable& string_methods() {
  static const BuiltinTable table = {
      {"center", justify<Alignment::kCenter>},
      {"count", count},
      {"endswith", has_affix<false>},
      {"find", find<false, false>},
      {"format", format},
      {"format_map", format_map},
      {"index", find<false, true>},
      {"join", join},
      {"ljust", justify<Alignment::kLeft>},
      {"lstrip", strip<unicode::Side::kLeft>},
      {"partition", partition<false>},
      {"removeprefix", remove_prefix},
      {"removesuffix", remove_suffix},
      {"replace", replace},
      {"rfind", find<true, false>},
      {"rindex", find<true, true>},
      {"rjust", justify<Alignment::kRight>},
      {"rpartition", partition<true>},
      {"rsplit", split<true>},
      {"rstrip", strip<unicode::Side::kRight>},
      {"split", split<false>},
      {"splitlines", split_lines},
      {"startswith", has_affix<true>},
      {"strip", strip<unicode::Side::kBoth>},
      {"zfill", zero_fill},
  };
  return table;
}

}  // namespace tessera::jinja
