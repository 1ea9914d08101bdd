#include "serve/http/json.h"

#include <array>

#include "serve/http/api_error.h"

namespace tessera::serve {

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
    json = Json::parse(text, limit);
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
