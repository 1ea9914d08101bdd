// Addresses in text become links, after Jinja's `urlize`.
#include <algorithm>
#include <array>

#include "jinja/html.h"
#include "jinja/unicode.h"

namespace tessera::jinja {
namespace {

bool is_ascii_alpha(char c) {
  return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}
bool is_ascii_digit(char c) {
  return c >= '0' && c <= '9';
}

// The text with ASCII letters small: schemes and domains do not care about case.
std::string to_small(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (is_ascii_alpha(c)) c |= 0x20;
  }
  return out;
}

// Whether there are `least` to `most` characters and all may stand in the name of a host; with
// `with_hyphen` also "-".
bool is_label(std::string_view text, size_t least, size_t most, bool with_hyphen) {
  const size_t length = unicode::length(text);
  if (length < least || length > most) return false;
  for (size_t i = 0; i < text.size();) {
    const char32_t c = unicode::decode(text, i);
    if (!unicode::is_word(c) && c != '%' && !(with_hyphen && c == '-')) return false;
  }
  return true;
}

std::vector<std::string_view> split_labels(std::string_view host) {
  std::vector<std::string_view> labels;
  for (size_t begin = 0; begin <= host.size();) {
    const size_t end = std::min(host.find('.', begin), host.size());
    labels.push_back(host.substr(begin, end - begin));
    begin = end + 1;
  }
  return labels;
}

// What may follow "http://" or "www.": any labels, the last one a domain of letters.
bool is_any_domain(const std::vector<std::string_view>& labels) {
  constexpr size_t kNoLimit = std::string::npos;
  for (size_t i = 0; i + 1 < labels.size(); ++i) {
    if (!is_label(labels[i], 1, kNoLimit, true)) return false;
  }
  const std::string_view top = labels.back();
  if (top.starts_with("xn--")) return is_label(top.substr(4), 2, 59, false);
  return top.size() >= 2 && top.size() <= 63 && std::all_of(top.begin(), top.end(), is_ascii_alpha);
}

// What is taken for a domain without any scheme.
bool is_known_domain(const std::vector<std::string_view>& labels) {
  constexpr std::array<std::string_view, 8> kTop = {"com", "net", "int",  "edu",
                                                    "gov", "org", "info", "mil"};
  if (labels.size() < 2 || std::find(kTop.begin(), kTop.end(), labels.back()) == kTop.end()) {
    return false;
  }
  return std::all_of(labels.begin(), labels.end() - 1,
                     [](std::string_view label) { return is_label(label, 2, 63, true); });
}

bool is_ipv4(const std::vector<std::string_view>& labels) {
  return labels.size() == 4 && std::all_of(labels.begin(), labels.end(), [](auto label) {
           return !label.empty() && label.size() <= 3 &&
                  std::all_of(label.begin(), label.end(), is_ascii_digit);
         });
}

// "[::1]": hexadecimal groups of up to four digits, two to eight colons between and around them.
bool is_ipv6(std::string_view host) {
  if (host.size() < 4 || host.front() != '[' || host.back() != ']') return false;
  int colons = 0;
  size_t digits = 0;
  for (const char c : host.substr(1, host.size() - 2)) {
    const bool is_hex = is_ascii_digit(c) || (c >= 'a' && c <= 'f');
    if (c != ':' && !is_hex) return false;
    colons += c == ':';
    digits = c == ':' ? 0 : digits + 1;
    if (digits > 4) return false;
  }
  return colons >= 2 && colons <= 8;
}

// ":8080" may follow the host, and then a path.
bool is_port_and_path(std::string_view rest) {
  if (rest.starts_with(':')) {
    size_t digits = 1;
    while (digits < rest.size() && digits <= 5 && is_ascii_digit(rest[digits])) ++digits;
    if (digits == 1) return false;
    rest.remove_prefix(digits);
  }
  return rest.empty() || rest[0] == '/' || rest[0] == '?' || rest[0] == '#';
}

bool is_web_address(std::string_view word) {
  const std::string small = to_small(word);
  std::string_view rest = small;
  bool has_scheme = false, has_www = false;
  for (const std::string_view scheme : {"https://", "http://"}) {
    if (has_scheme || !rest.starts_with(scheme)) continue;
    rest.remove_prefix(scheme.size());
    has_scheme = true;
  }
  if (!has_scheme && rest.starts_with("www.")) {
    rest.remove_prefix(4);
    has_www = true;
  }
  const size_t bracket = rest.starts_with('[') ? rest.find(']') : rest.npos;
  const size_t host_end =
      bracket != rest.npos ? bracket + 1 : std::min(rest.find_first_of(":/?#"), rest.size());
  if (!is_port_and_path(rest.substr(host_end))) return false;
  const std::string_view host = rest.substr(0, host_end);
  const auto labels = split_labels(host);
  if (has_scheme && (is_ipv4(labels) || is_ipv6(host))) return true;
  if ((has_scheme || has_www) && is_any_domain(labels)) return true;
  return !has_scheme &&
         is_known_domain(split_labels(has_www ? small.substr(0, host_end + 4) : host));
}

// anything@word.word: a word begins the host and stands behind its last dot.
bool is_mail_address(std::string_view word) {
  const size_t at = word.rfind('@');
  if (at == word.npos || at == 0) return false;
  const std::string_view host = word.substr(at + 1);
  const size_t dot = host.rfind('.');
  if (dot == host.npos || dot == 0) return false;
  for (size_t i = 0; i < host.size();) {
    const size_t position = i;
    const char32_t c = unicode::decode(host, i);
    const bool inner = position > 0 && position <= dot;
    if (!unicode::is_word(c) && !(inner && (c == '.' || c == '-'))) return false;
  }
  return dot + 1 < host.size();
}

// A word between white space: brackets before it, what may be an address, punctuation after it.
struct Word {
  std::string_view head, middle, tail;
};

std::optional<size_t> trailing_mark(std::string_view text) {
  if (text.ends_with("&gt;")) return 4;
  if (!text.empty() && std::string_view(")>.,").find(text.back()) != std::string_view::npos)
    return 1;
  return std::nullopt;
}

size_t count(std::string_view text, std::string_view part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + part.size()))
    ++found;
  return found;
}

Word take_apart(std::string_view text) {
  size_t begin = 0;
  for (;;) {
    const std::string_view rest = text.substr(begin);
    if (rest.starts_with("&lt;")) {
      begin += 4;
    } else if (rest.starts_with('(') || rest.starts_with('<')) {
      begin += 1;
    } else {
      break;
    }
  }
  size_t end = text.size();
  while (const auto mark = trailing_mark(text.substr(begin, end - begin))) end -= *mark;
  // Brackets that the address itself opens are closed within it.
  for (const auto& [open, close] :
       std::initializer_list<std::pair<std::string_view, std::string_view>>{
           {"(", ")"}, {"<", ">"}, {"&lt;", "&gt;"}}) {
    const std::string_view middle = text.substr(begin, end - begin);
    const size_t opened = count(middle, open);
    if (opened <= count(middle, close)) continue;
    for (size_t moves = std::min(opened, count(text.substr(end), close)); moves > 0; --moves) {
      end = text.find(close, end) + close.size();
    }
  }
  return {text.substr(0, begin), text.substr(begin, end - begin), text.substr(end)};
}

std::string link(std::string_view target, std::string_view attributes, std::string_view text) {
  return fmt::format("<a href=\"{}\"{}>{}</a>", target, attributes, text);
}

std::string shorten(std::string_view text, int64_t limit) {
  if (limit < 0 || static_cast<int64_t>(unicode::length(text)) <= limit) return std::string(text);
  return std::string(text.substr(0, unicode::offset(text, static_cast<size_t>(limit)))) + "...";
}

std::string link_word(std::string_view word, const LinkStyle& style) {
  if (is_web_address(word)) {
    const bool has_scheme = word.starts_with("https://") || word.starts_with("http://");
    return link((has_scheme ? "" : "https://") + std::string(word), style.attributes,
                shorten(word, style.limit));
  }
  if (word.starts_with("mailto:") && is_mail_address(word.substr(7))) {
    return link(word, "", word.substr(7));
  }
  if (!word.starts_with("www.") && word.find(':') == word.npos && is_mail_address(word)) {
    return link("mailto:" + std::string(word), "", word);
  }
  for (const std::string& scheme : style.extra_schemes) {
    if (word != scheme && word.starts_with(scheme)) return link(word, style.attributes, word);
  }
  return std::string(word);
}

}  // namespace

std::string link_addresses(std::string_view text, const LinkStyle& style, Budget& budget) {
  std::string out;
  const auto add = [&](std::string_view piece) {
    budget.check_text(out.size() + piece.size());
    out += piece;
  };
  for (size_t i = 0; i < text.size();) {
    size_t end = i;
    while (end < text.size()) {
      size_t next = end;
      if (unicode::is_space(unicode::decode(text, next))) break;
      end = next;
    }
    const Word word = take_apart(text.substr(i, end - i));
    budget.scan(3 * (end - i) * (1 + style.extra_schemes.size() / 8));
    add(word.head);
    add(link_word(word.middle, style));
    add(word.tail);
    i = end;
    if (i < text.size()) {
      unicode::decode(text, i);
      add(text.substr(end, i - end));
    }
  }
  return out;
}

}  // namespace tessera::jinja
