#include "text/tools_as_text.h"

#include <fmt/format.h>

#include "text/call_json.h"
#include "text/tool_calls.h"

namespace tessera {
namespace {

using Json = nlohmann::ordered_json;

std::string declarations_of(const Json& tools) {
  if (tools.empty()) return "";
  std::string text = "You can call functions. These are their declarations, one a line:\n<tools>\n";
  for (const Json& tool : tools) text += to_text(tool) + "\n";
  return text +
         "</tools>\nTo call one, answer with its name and arguments as JSON between tags, like "
         "this:\n"
         "<tool_call>\n{\"name\": \"NAME\", \"arguments\": {\"KEY\": \"VALUE\"}}\n</tool_call>";
}

// {"name", "arguments"} between the tags, of a call as OpenAI's messages have it.
std::string call_as_text(const Json& call) {
  const Json body = {{"name", call["function"]["name"]},
                     {"arguments", call["function"]["arguments"]}};
  return fmt::format("{}\n{}\n{}", kToolCallOpen, to_text(body), kToolCallClose);
}

}  // namespace

std::vector<Message> with_tools_as_text(const std::vector<Message>& messages, const Json& tools) {
  const std::string declarations = declarations_of(tools);
  std::vector<Message> result;
  if (!declarations.empty() && (messages.empty() || messages.front().role != "system")) {
    result.push_back({.role = "system", .content = declarations});
  }
  for (const Message& message : messages) {
    std::string text = message.content.is_string() ? message.content.get<std::string>() : "";
    std::string role = message.role;
    if (role == "system" && result.empty() && !declarations.empty()) {
      text += "\n\n" + declarations;
    }
    if (role == "tool") {
      role = "user";
      text = "<tool_response>\n" + text + "\n</tool_response>";
    }
    if (const auto calls = message.extra.find("tool_calls"); calls != message.extra.end()) {
      for (const Json& call : *calls) {
        if (!text.empty()) text += '\n';
        text += call_as_text(call);
      }
    }
    result.push_back({.role = role, .content = text});
  }
  return result;
}

}  // namespace tessera
