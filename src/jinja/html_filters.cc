// Filters that make HTML, or undo it.
#include <algorithm>

#include "base/utf8.h"
#include "jinja/builtins.h"
#include "jinja/html.h"
#include "jinja/operators.h"
#include "jinja/serialize.h"
#include "jinja/unicode.h"

namespace tessera::jinja {
namespace {

// What is made of HTML is safe only where a template escapes on its own; elsewhere it is text.
Value as_html(const Call& call, std::string html) {
  if (call.interpreter.autoescape()) return Value::markup(std::move(html));
  return html;
}

Value escape(const Call& call) {
  call.no_arguments();
  return escape(call.self, call.budget());
}

Value force_escape(const Call& call) {
  call.no_arguments();
  return Value::markup(escape_html(to_text(call.self, call.budget()), call.budget()));
}

Value safe(const Call& call) {
  call.no_arguments();
  return call.self.is_markup() ? call.self : Value::markup(to_text(call.self, call.budget()));
}

Value striptags(const Call& call) {
  call.no_arguments();
  return strip_tags(to_text(call.self, call.budget()));
}

// Percent-encoding as RFC 3986 has it. In a query a space is "+"; in a path a slash is itself.
std::string quote_for_url(std::string_view text, bool in_query, Budget& budget) {
  constexpr std::string_view kUnreserved = "_.-~";
  budget.check_text(text.size());
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x80 && std::isalnum(byte)) || kUnreserved.find(c) != kUnreserved.npos ||
        (c == '/' && !in_query)) {
      out += c;
    } else if (c == ' ' && in_query) {
      out += '+';
    } else {
      out += fmt::format("%{:02X}", byte);
    }
  }
  budget.create_text(out.size());
  return out;
}

// A mapping, or pairs, as the query of an address; anything else as a part of its path.
Value urlencode(const Call& call) {
  call.no_arguments();
  Budget& budget = call.budget();
  if (call.self.string() || !is_iterable(call.self)) {
    return quote_for_url(to_text(call.self, budget), false, budget);
  }
  std::vector<std::pair<Value, Value>> pairs;
  if (const Dict* dict = call.self.dict()) {
    pairs = dict->entries();
  } else {
    for (const Value& item : iterate(call.self, budget)) {
      const auto pair = iterate(item.defined(), budget);
      if (pair.size() != 2) fail("urlencode needs pairs of name and value");
      pairs.emplace_back(pair[0], pair[1]);
    }
  }
  std::string out;
  for (const auto& [name, value] : pairs) {
    if (!out.empty()) out += '&';
    out += quote_for_url(to_text(name, budget), true, budget);
    out += '=';
    out += quote_for_url(to_text(value, budget), true, budget);
    budget.check_text(out.size());
  }
  return out;
}

// "http:", "ftp://", as urlize's extra_schemes lists them.
bool is_scheme(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == text.npos || unicode::length(text.substr(0, colon)) < 2) return false;
  for (size_t i = 0; i < colon;) {
    const char32_t c = unicode::decode(text, i);
    if (!unicode::is_word(c) && c != '.' && c != '+' && c != '-') return false;
  }
  const std::string_view slashes = text.substr(colon + 1);
  return slashes.empty() || slashes == "/" || slashes == "//";
}

// The rel attribute: what the template asks for, in order, and always "noopener".
std::string link_relations(const Bound& bound) {
  std::vector<std::string> parts = {"noopener"};
  if (bound.truth(1, false)) parts.push_back("nofollow");
  const std::string asked = bound.given(3) ? bound.text(3, "") : "";
  for (size_t i = 0; i < asked.size();) {
    const size_t end = std::min(asked.find(' ', i), asked.size());
    if (end > i) parts.push_back(asked.substr(i, end - i));
    i = end + 1;
  }
  std::sort(parts.begin(), parts.end());
  parts.erase(std::unique(parts.begin(), parts.end()), parts.end());
  return fmt::format("{}", fmt::join(parts, " "));
}

Value urlize(const Call& call) {
  const Bound bound = call.bind({"trim_url_limit", "nofollow", "target", "rel", "extra_schemes"});
  Budget& budget = call.budget();
  LinkStyle style;
  if (bound.given(0)) style.limit = std::max<int64_t>(bound.integer(0, 0), 0);
  style.attributes = fmt::format(" rel=\"{}\"", escape_html(link_relations(bound), budget));
  if (bound.given(2)) {
    style.attributes += fmt::format(" target=\"{}\"", escape_html(bound.text(2, ""), budget));
  }
  if (bound.given(4)) {
    for (const Value& scheme : iterate(bound[4], budget)) {
      if (!scheme.string() || !is_scheme(*scheme.string()))
        fail("urlize: not a scheme of addresses");
      style.extra_schemes.push_back(*scheme.string());
    }
  }
  const Value text = escape(call.self, budget);
  return as_html(call, link_addresses(*text.string(), style, budget));
}

// A mapping as the attributes of a tag; what is none or undefined is left out.
Value xmlattr(const Call& call) {
  const bool spaced = call.bind({"autospace"}).truth(0, true);
  const Dict* dict = call.self.defined().dict();
  if (!dict) fail("xmlattr needs a mapping, not {}", call.self.type_name());
  std::string out;
  for (const auto& [key, value] : dict->entries()) {
    if (value.is_none() || value.is_undefined()) continue;
    const std::string* name = key.string();
    if (!name) fail("xmlattr: the name of an attribute must be a string");
    for (size_t i = 0; i < name->size();) {
      const char32_t c = unicode::decode(*name, i);
      if (unicode::is_space(c) || c == '/' || c == '>' || c == '=') {
        fail("xmlattr: invalid character in an attribute's name");
      }
    }
    if (!out.empty() || spaced) out += ' ';
    out += *escape(key, call.budget()).string();
    out += "=\"";
    out += *escape(value, call.budget()).string();
    out += '"';
    call.budget().check_text(out.size());
  }
  return as_html(call, std::move(out));
}

}  // namespace

const BuiltinTable& html_filters() {
  static const BuiltinTable table = {
      {"e", escape},      {"escape", escape},       {"forceescape", force_escape},
      {"safe", safe},     {"striptags", striptags}, {"urlencode", urlencode},
      {"urlize", urlize}, {"xmlattr", xmlattr},
  };
  return table;
}

}  // namespace tessera::jinja
