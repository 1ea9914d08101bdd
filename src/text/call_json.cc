#include "text/call_json.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace tessera {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kMaxDepth = 64;
constexpr std::string_view kBlanks = " \t\r\n\f\v";

std::string_view without_blanks_before(std::string_view text) {
  return text.substr(std::min(text.find_first_not_of(kBlanks), text.size()));
}

std::optional<Json> parse_json(std::string_view text) {
  const auto limit = [](int depth, Json::parse_event_t, Json&) {
    if (depth > kMaxDepth) fail("the JSON is nested more than {} deep", kMaxDepth);
    return true;
  };
  try {
    return Json::parse(text, limit);
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

bool is_arguments(std::string_view key) {
  return key == "arguments" || key == "parameters";
}

// The arguments of a call: some models write the object as a string.
std::string arguments_text(std::string_view value) {
  if (!value.starts_with('"')) return std::string(value);
  const auto text = parse_json(value);
  return text && text->is_string() ? text->get<std::string>() : "";
}

}  // namespace

std::string to_text(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::optional<ToolCall> parse_call(std::string_view text) {
  const auto json = parse_json(text);
  if (!json || !json->is_object()) return std::nullopt;
  const auto name = json->find("name");
  if (name == json->end() || !name->is_string()) return std::nullopt;
  auto arguments = json->find("arguments");
  if (arguments == json->end()) arguments = json->find("parameters");
  ToolCall call{.name = name->get<std::string>(), .arguments = "{}"};
  if (arguments == json->end() || arguments->is_null()) return call;
  if (arguments->is_string()) {
    call.arguments = arguments->get<std::string>();
  } else if (arguments->is_object()) {
    call.arguments = to_text(*arguments);
  } else {
    return std::nullopt;
  }
  return call;
}

std::optional<CutCall> parse_cut_call(std::string_view text) {
  constexpr std::array<std::string_view, 5> kKeys = {"name", "arguments", "parameters", "type",
                                                     "id"};
  CutCall call;
  text = without_blanks_before(text);
  if (text.empty()) return call;
  if (text.front() != '{') return std::nullopt;
  for (;;) {
    text = without_blanks_before(text.substr(1));  // behind a brace or a comma
    if (text.empty() || text.front() == '}') return call;
    if (text.front() != '"') return std::nullopt;
    const size_t length = json_value_length(text);
    const std::string_view key = text.substr(1, length == text.npos ? text.npos : length - 2);
    const bool known = std::ranges::any_of(kKeys, [&](std::string_view one) {
      return length == text.npos ? one.starts_with(key) : one == key;
    });
    if (!known) return std::nullopt;
    if (length == text.npos) return call;
    text = without_blanks_before(text.substr(length));
    if (text.empty()) return call;
    if (text.front() != ':') return std::nullopt;
    text = without_blanks_before(text.substr(1));
    if (text.empty()) return call;

    const size_t end = json_value_length(text);
    const std::string_view value = text.substr(0, end);
    if (key == "name") {
      if (value.front() != '"') return std::nullopt;
      call.has_name = end != text.npos;
      call.name = call.has_name ? arguments_text(value) : std::string(value.substr(1));
    } else if (is_arguments(key)) {
      call.arguments = arguments_text(value);
    }
    if (end == text.npos) return call;
    text = without_blanks_before(text.substr(end));
    if (text.empty() || text.front() == '}') return call;
    if (text.front() != ',') return std::nullopt;
  }
}

size_t json_value_length(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool was_in_string = in_string;
    if (in_string && c == '\\') {
      ++i;
    } else if (c == '"') {
      in_string = !in_string;
    } else if (!in_string && (c == '{' || c == '[')) {
      ++depth;
    } else if (!in_string && (c == '}' || c == ']')) {
      if (depth == 0) return i;  // behind a number or a word
      --depth;
    } else if (!in_string && depth == 0 && (c == ',' || kBlanks.find(c) != kBlanks.npos)) {
      return i;
    }
    const bool closes = (was_in_string && !in_string) || c == '}' || c == ']';
    if (depth == 0 && !in_string && closes) return i + 1;
  }
  return text.npos;
}

}  // namespace tessera
