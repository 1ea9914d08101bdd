#include "serve/http/json.h"

#include <array>
#include <charconv>
#include <optional>

#include "serve/http/api_error.h"

namespace tessera::serve {

namespace {

// The UTF-16 unit that the escape at `text` names ("\\ud83d"); nullopt if there is none.
std::optional<unsigned> escaped_unit(std::string_view text) {
  unsigned unit = 0;
  if (text.size() < 6 || text[0] != '\\' || text[1] != 'u') return std::nullopt;
  const auto [end, error] = std::from_chars(text.data() + 2, text.data() + 6, unit, 16);
  if (error != std::errc() || end != text.data() + 6) return std::nullopt;
  return unit;
}

bool is_high_surrogate(unsigned unit) {
  return unit >= 0xD800 && unit < 0xDC00;
}
bool is_low_surrogate(unsigned unit) {
  return unit >= 0xDC00 && unit < 0xE000;
}

// Half a pair of surrogates is no character, but what clients that cut strings of UTF-16 send: it
// becomes U+FFFD. Everything else stays as it is.
std::string without_lone_surrogates(std::string_view text) {
  std::string result(text);
  for (size_t at = result.find('\\'); at != std::string::npos; at = result.find('\\', at)) {
    const std::string_view rest = std::string_view(result).substr(at);
    const auto unit = escaped_unit(rest);
    if (!unit) {
      at += 2;  // an escape of two characters
      continue;
    }
    const auto next = escaped_unit(rest.substr(6));
    const bool pair = is_high_surrogate(*unit) && next && is_low_surrogate(*next);
    const bool lone = !pair && (is_high_surrogate(*unit) || is_low_surrogate(*unit));
    if (lone) result.replace(at + 2, 4, "FFFD");
    at += pair ? 12 : 6;
  }
  return result;
}

}  // namespace

Json parse_object(std::string_view text) {
  int values = 0;
  std::array<int, kMaxJsonDepth + 2> members{};  // of the open object whose names have this depth
  const auto limit = [&](int depth, Json::parse_event_t event, Json&) {
    if (depth > kMaxJsonDepth) {
      bad_request("", "the JSON is nested more than {} deep", kMaxJsonDepth);
    }
    const auto level = static_cast<size_t>(depth);
    if (event == Json::parse_event_t::object_start) members[level + 1] = 0;
    if (event == Json::parse_event_t::key && ++members[level] > kMaxJsonMembers) {
      bad_request("", "the JSON has an object of more than {} members", kMaxJsonMembers);
    }
    if (++values > kMaxJsonValues) {
      bad_request("", "the JSON has more than {} values", kMaxJsonValues);
    }
    return true;
  };
  Json json;
  try {
    const bool escapes_surrogates =
        text.find("\\ud") != text.npos || text.find("\\uD") != text.npos;
    json = escapes_surrogates ? Json::parse(without_lone_surrogates(text), limit)
                              : Json::parse(text, limit);
  } catch (const Json::exception& error) {
    // "[json.exception.parse_error.101] parse error at line 1, ...": without the bracket.
    const std::string what = error.what();
    const size_t end = what.find("] ");
    bad_request("", "the body is not valid JSON: {}",
                end == std::string::npos ? what : what.substr(end + 2));
  }
  if (!json.is_object()) {
    bad_request("", "the body is a JSON {}, expected an object", json.type_name());
  }
  return json;
}

std::string to_text(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace tessera::serve
