#include "text/fit_messages.h"

#include <algorithm>
#include <utility>

#include "text/tool_responses.h"

namespace tessera {
namespace {

using Json = nlohmann::ordered_json;

Json as_parts(const Json& content) {
  return content.is_array() ? content : Json{{{"type", "text"}, {"text", content}}};
}

bool is_empty(const Json& content) {
  return content.is_null() || content == "" || content == Json::array();
}

// Both contents, with an empty line between.
Json joined(const Json& first, const Json& second) {
  if (is_empty(first)) return second;
  if (is_empty(second)) return first;
  if (first.is_string() && second.is_string()) {
    return first.get<std::string>() + "\n\n" + second.get<std::string>();
  }
  Json parts = as_parts(first);
  parts.push_back({{"type", "text"}, {"text", "\n\n"}});
  for (const Json& part : as_parts(second)) parts.push_back(part);
  return parts;
}

void append(Message& message, Message&& next) {
  message.content = joined(message.content, next.content);
  for (auto& [name, value] : next.extra.items()) {
    Json& mine = message.extra[name];
    if (mine.is_null()) {
      mine = value;
    } else if (mine.is_array() && value.is_array()) {  // calls
      mine.insert(mine.end(), value.begin(), value.end());
    } else if (mine.is_string() && value.is_string() && mine != value) {
      mine = joined(mine, value);
    }
  }
}

// System messages that have no place of their own go into the first one or the users' turns.
std::vector<Message> with_systems_in_place(std::vector<Message> messages,
                                           const TemplateCapabilities& capabilities) {
  std::vector<Message> result;
  Json pending;  // what they say, until a turn of the user comes
  const auto flush = [&] {
    if (!is_empty(pending)) result.push_back({.role = "user", .content = std::move(pending)});
    pending = nullptr;
  };
  const bool has_user = std::any_of(messages.begin(), messages.end(),
                                    [](const Message& m) { return m.role == "user"; });
  const bool may_lead = has_user ? capabilities.system_role : capabilities.lone_system;
  bool has_system = false;
  for (Message& message : messages) {
    if (message.role == "system") {
      const bool has_place = result.empty() ? may_lead : capabilities.late_system;
      if (has_place && (!has_system || capabilities.more_systems)) {
        result.push_back(std::move(message));
        has_system = true;
      } else if (has_system && result.size() == 1) {
        append(result[0], std::move(message));
      } else {
        pending = joined(pending, message.content);
      }
      continue;
    }
    if (message.role == "user") {
      message.content = joined(pending, message.content);
      pending = nullptr;
    } else if (message.role == "assistant") {
      flush();  // nobody may hear it later than it was said
    }
    result.push_back(std::move(message));
  }
  flush();
  return result;
}

// A character that greets, say. The turn is empty: nothing is put into the user's mouth.
void let_user_begin(std::vector<Message>& messages) {
  const auto first =
      std::ranges::find_if(messages, [](const Message& m) { return m.role != "system"; });
  if (first != messages.end() && first->role == "assistant")
    messages.insert(first, {.role = "user", .content = ""});
}

}  // namespace

std::vector<Message> fit_messages(std::vector<Message> messages,
                                  const TemplateCapabilities& capabilities) {
  messages = with_systems_in_place(std::move(messages), capabilities);
  if (capabilities.tool_responses) messages = with_tool_responses(std::move(messages));
  if (!capabilities.leading_assistant) let_user_begin(messages);
  std::vector<Message> result;
  for (Message& message : messages) {
    const bool may_repeat = message.role == "user"        ? capabilities.repeated_user
                            : message.role == "assistant" ? capabilities.repeated_assistant
                                                          : true;
    if (!may_repeat && !result.empty() && result.back().role == message.role) {
      append(result.back(), std::move(message));
    } else {
      result.push_back(std::move(message));
    }
  }
  if (!capabilities.text_content) {
    for (Message& message : result) {
      if (message.content.is_string()) message.content = as_parts(message.content);
    }
  }
  return result;
}

}  // namespace tessera
