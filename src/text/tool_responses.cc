#include "text/tool_responses.h"

#include <algorithm>
#include <utility>

namespace tessera {
namespace {

using Json = nlohmann::ordered_json;

// What a tool gave: JSON, if it is an object; else a text.
Json tool_response_of(const Json& content) {
  if (!content.is_string()) return content;
  const Json parsed = Json::parse(content.get_ref<const std::string&>(), nullptr, false);
  return parsed.is_object() ? parsed : content;
}

// Null where it has none, or is no object.
Json member(const Json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() ? Json() : *found;
}

// The function that a result is of: by its id, else by its place, else as the result says.
Json tool_name_of(const Json& calls, const Message& result, size_t place) {
  const auto name_of = [](const Json& of) {
    Json name = member(of, "name");
    return name.is_string() ? name : Json("unknown");
  };
  if (calls.is_array()) {
    const Json id = member(result.extra, "tool_call_id");
    for (const Json& call : calls) {
      if (!id.is_null() && member(call, "id") == id) return name_of(member(call, "function"));
    }
    if (place < calls.size()) return name_of(member(calls[place], "function"));
  }
  return name_of(result.extra);
}

bool is_content_alone(const Message& message) {
  return message.role == "assistant" && !message.extra.contains("tool_calls") &&
         message.content.is_string() && !message.content.get_ref<const std::string&>().empty();
}

}  // namespace

std::vector<Message> with_tool_responses(std::vector<Message> messages) {
  std::vector<Message> result;
  for (size_t i = 0; i < messages.size(); ++i) {
    result.push_back(std::move(messages[i]));
    Message& turn = result.back();
    if (turn.role != "assistant" || !turn.extra.contains("tool_calls")) continue;
    Json responses = Json::array();
    for (; i + 1 < messages.size() && messages[i + 1].role == "tool"; ++i) {
      const Message& next = messages[i + 1];
      responses.push_back({{"name", tool_name_of(turn.extra["tool_calls"], next, responses.size())},
                           {"response", tool_response_of(next.content)}});
    }
    if (responses.empty()) continue;
    turn.extra["tool_responses"] = std::move(responses);
    if (i + 1 < messages.size() && is_content_alone(messages[i + 1]))
      turn.content = std::move(messages[++i].content);
  }
  return result;
}

}  // namespace tessera
