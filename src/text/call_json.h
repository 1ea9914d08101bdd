// A function call as JSON: {"name": "f", "arguments": {...}}, or "parameters". For tool_calls.cc.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "text/tool_calls.h"

namespace tessera {

// On one line; bytes that are no UTF-8 become U+FFFD.
std::string to_text(const nlohmann::ordered_json& json);

// All of `text`; nullopt if it is none.
std::optional<ToolCall> parse_call(std::string_view text);

// The beginning of a call.
struct CutCall {
  std::string name;       // as far as it goes
  bool has_name = false;  // it is whole
  std::string arguments;  // as far as they go
};
// nullopt if `text` cannot become a call.
std::optional<CutCall> parse_cut_call(std::string_view text);

// The length of the JSON value that `text` begins with, by its quotes and brackets; npos if it does
// not end.
size_t json_value_length(std::string_view text);

}  // namespace tessera
