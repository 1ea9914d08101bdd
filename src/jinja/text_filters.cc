// Filters that work on text.
#include <algorithm>

#include "jinja/builtins.h"
#include "jinja/html.h"
#include "jinja/operators.h"
#include "jinja/percent_format.h"
#include "jinja/serialize.h"
#include "jinja/text_operations.h"
#include "jinja/unicode.h"
#include "jinja/wrap.h"

namespace tessera::jinja {
namespace {

std::string subject(const Call& call) {
  return to_text(call.self, call.budget());
}

// What becomes of Markup is Markup.
Value like_subject(const Call& call, std::string text) {
  if (call.self.is_markup()) return Value::markup(std::move(text));
  return text;
}

template <std::string (*transform)(std::string_view)>
Value transformed(const Call& call) {
  call.no_arguments();
  return like_subject(call, transform(subject(call)));
}

// Unlike the method of this name, only white space and brackets begin a word, not digits or quotes.
Value title(const Call& call) {
  call.no_arguments();
  const std::string text = subject(call);
  std::string out;
  size_t begin = 0;
  const auto add_word = [&](size_t end) {
    const std::string_view word = std::string_view(text).substr(begin, end - begin);
    const size_t first = unicode::offset(word, 1);
    out += unicode::upper(word.substr(0, first)) + unicode::lower(word.substr(first));
  };
  for (size_t i = 0; i < text.size();) {
    const size_t at = i;
    const char32_t c = unicode::decode(text, i);
    const bool separates =
        unicode::is_space(c) || (c < 0x80 && std::string_view("-({[<").find(static_cast<char>(c)) !=
                                                 std::string_view::npos);
    if (!separates) continue;
    add_word(at);
    out.append(text, at, i - at);
    begin = i;
  }
  add_word(text.size());
  return out;
}

Value trim(const Call& call) {
  const Bound bound = call.bind({"chars"});
  const std::string text = subject(call);
  if (!bound.given(0)) return like_subject(call, std::string(unicode::strip(text)));
  const std::string characters = bound.text(0, "");
  const std::string_view view = characters;
  call.budget().step(1 + text.size() * characters.size() / 32);
  return like_subject(call, std::string(unicode::strip(text, unicode::Side::kBoth, &view)));
}

// Where the template escapes on its own and one part is safe, the others are made so first.
Value replace(const Call& call) {
  const Bound bound = call.bind({"old", "new", "count"}, 2);
  const int64_t count = bound.given(2) ? bound.integer(2, -1) : -1;
  Budget& budget = call.budget();
  const bool safe = call.interpreter.autoescape() &&
                    (call.self.is_markup() || bound[0].is_markup() || bound[1].is_markup());
  if (!safe) {
    return replace_all(subject(call), to_text(bound[0], budget), to_text(bound[1], budget), count,
                       budget);
  }
  return Value::markup(replace_all(*escape(call.self, budget).string(), to_text(bound[0], budget),
                                   *escape(bound[1], budget).string(), count, budget));
}

Value indent(const Call& call) {
  const Bound bound = call.bind({"width", "first", "blank"});
  std::string margin;
  if (bound.has(0) && bound[0].string()) {
    margin = *bound[0].string();
  } else {
    const int64_t width = std::max<int64_t>(bound.integer(0, 4), 0);
    call.budget().create_text(static_cast<size_t>(width));
    margin.assign(static_cast<size_t>(width), ' ');
  }
  const std::string text = subject(call);
  std::string out;
  bool is_first = true;
  const std::string terminated = text + "\n";
  for (const std::string_view line : unicode::split_lines(terminated)) {
    if (!is_first) out += '\n';
    const bool indents = is_first ? bound.truth(1, false) : bound.truth(2, false) || !line.empty();
    call.budget().check_text(out.size() + margin.size() + line.size());
    call.budget().scan(margin.size());
    if (indents) out += margin;
    out += line;
    is_first = false;
  }
  return like_subject(call, std::move(out));
}

Value center(const Call& call) {
  const int64_t width = call.bind({"width"}).integer(0, 80);
  return like_subject(call, pad(subject(call), width, " ", Alignment::kCenter, call.budget()));
}

Value truncate(const Call& call) {
  const Bound bound = call.bind({"length", "killwords", "end", "leeway"});
  const int64_t limit = bound.integer(0, 255);
  const std::string end = bound.text(2, "...");
  const int64_t leeway = bound.given(3) ? bound.integer(3, 5) : 5;
  const auto end_length = static_cast<int64_t>(unicode::length(end));
  if (limit < end_length)
    fail("truncate: the length {} is less than that of the end, {}", limit, end_length);
  if (leeway < 0) fail("truncate: the leeway {} is negative", leeway);
  const std::string text = subject(call);
  const auto size = static_cast<int64_t>(unicode::length(text));
  if (size - leeway <= limit) return like_subject(call, text);
  std::string kept = text.substr(0, unicode::offset(text, static_cast<size_t>(limit - end_length)));
  if (!bound.truth(1, false)) {
    if (const size_t space = kept.rfind(' '); space != kept.npos) kept.resize(space);
  }
  return like_subject(call, kept + (call.self.is_markup() ? escape_html(end, call.budget()) : end));
}

Value wordwrap(const Call& call) {
  const Bound bound = call.bind({"width", "break_long_words", "wrapstring", "break_on_hyphens"});
  WrapStyle style;
  style.width = bound.integer(0, 79);
  style.break_long_words = bound.truth(1, true);
  if (bound.given(2)) style.separator = bound.text(2, "");
  style.break_on_hyphens = bound.truth(3, true);
  return wrap_words(subject(call), style, call.budget());
}

Value pprint(const Call& call) {
  call.no_arguments();
  return pretty(call.self, call.budget());
}

Value wordcount(const Call& call) {
  call.no_arguments();
  const std::string text = subject(call);
  int64_t words = 0;
  bool inside = false;
  for (size_t i = 0; i < text.size();) {
    const bool is_word = unicode::is_word(unicode::decode(text, i));
    words += is_word && !inside;
    inside = is_word;
  }
  return words;
}

Value string(const Call& call) {
  call.no_arguments();
  return like_subject(call, subject(call));
}

Value format(const Call& call) {
  const Value pattern = like_subject(call, subject(call));
  const auto& [positional, named] = call.arguments;
  if (!positional.empty() && !named.empty())
    fail("format takes values by position or by name, not both");
  if (named.empty()) return percent_format(pattern, make_tuple(positional), call.budget());
  auto dict = std::make_shared<Dict>();
  for (const auto& [name, value] : named) dict->set(name, value);
  return percent_format(pattern, dict, call.budget());
}

Value tojson(const Call& call) {
  const Bound bound = call.bind({"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ensure_ascii = bound.truth(0, false);
  style.sort_keys = bound.truth(3, false);
  if (bound.given(1)) {
    if (bound[1].string()) {
      style.indent = *bound[1].string();
    } else {
      const int64_t width = std::max<int64_t>(bound.integer(1, 0), 0);
      call.budget().check_text(static_cast<size_t>(width));
      style.indent = std::string(static_cast<size_t>(width), ' ');
    }
  }
  if (bound.given(2)) {
    const auto separators = iterate(bound[2], call.budget());
    if (separators.size() != 2 || !separators[0].string() || !separators[1].string()) {
      fail("tojson: separators are two strings");
    }
    style.item_separator = *separators[0].string();
    style.key_separator = *separators[1].string();
  }
  return to_json(call.self, style, call.budget());
}

Value default_value(const Call& call) {
  const Bound bound = call.bind({"default_value", "boolean"});
  const bool missing = call.self.is_undefined() || (bound.truth(1, false) && !call.self.truthy());
  return missing ? bound.get(0, "") : call.self;
}

}  // namespace

const BuiltinTable& text_filters() {
  static const BuiltinTable table = {
      {"capitalize", transformed<unicode::capitalize>},
      {"center", center},
      {"d", default_value},
      {"default", default_value},
      {"format", format},
      {"indent", indent},
      {"lower", transformed<unicode::lower>},
      {"pprint", pprint},
      {"replace", replace},
      {"string", string},
      {"title", title},
      {"tojson", tojson},
      {"trim", trim},
      {"truncate", truncate},
      {"upper", transformed<unicode::upper>},
      {"wordcount", wordcount},
      {"wordwrap", wordwrap},
  };
  return table;
}

}  // namespace tessera::jinja
