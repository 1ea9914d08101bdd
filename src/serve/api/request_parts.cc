#include "serve/api/request_parts.h"

#include <limits>

#include "serve/api/field_table.h"
#include "serve/http/api_error.h"

namespace tessera::serve {
namespace {

std::string joined_text(const Fields& message, const Json& parts) {
  std::string text;
  for (const Json& part : parts) {
    if (!part.is_object()) message.wrong_type("content", "a list of parts {\"type\", \"text\"}");
    const Fields fields(part, message.path("content."));
    const std::string type = fields.required_text("type");
    if (type == "refusal") continue;
    if (type != "text") {
      bad_request(message.path("content"), "'{}' has a part of type '{}': only text is understood",
                  message.path("content"), type);
    }
    kTextPartFields.check(fields);
    text += fields.required_text("text");
  }
  return text;
}

// Templates want the arguments as the object that OpenAI's API has as a string.
Json parse_tool_calls(const Fields& message, const Json& calls) {
  if (!calls.is_array()) message.wrong_type("tool_calls", "a list");
  Json result = Json::array();
  for (const Json& call : calls) {
    if (!call.is_object()) message.wrong_type("tool_calls", "a list of objects");
    const Fields fields(call, message.path("tool_calls."));
    const auto function = fields.object("function");
    if (!function) fields.wrong_type("function", "an object");
    const Json* arguments = function->find("arguments");
    Json parsed = Json::object();
    if (arguments != nullptr && arguments->is_object()) {
      parsed = *arguments;
    } else if (const std::string text = function->text("arguments"); !text.empty()) {
      try {
        parsed = parse_object(text);
      } catch (const ApiError&) {
        parsed = text;
      }
    }
    result.push_back(
        {{"id", fields.text("id")},
         {"type", "function"},
         {"function", {{"name", function->required_text("name")}, {"arguments", parsed}}}});
  }
  return result;
}

Message parse_message(const Fields& fields) {
  kMessageFields.check(fields);
  Message message{.role = fields.required_text("role"), .content = nullptr};
  if (message.role == "developer") message.role = "system";
  if (message.role == "function") message.role = "tool";
  if (message.role != "system" && message.role != "user" && message.role != "assistant" &&
      message.role != "tool") {
    bad_request(fields.path("role"), "'{}' is '{}', expected system, user, assistant or tool",
                fields.path("role"), message.role);
  }
  if (const Json* content = fields.find("content")) {
    if (content->is_array()) {
      message.content = joined_text(fields, *content);
    } else {
      message.content = fields.text("content");
    }
  }
  if (const Json* calls = fields.find("tool_calls"); calls != nullptr && !calls->empty()) {
    message.extra["tool_calls"] = parse_tool_calls(fields, *calls);
  }
  for (const char* name : {"tool_call_id", "name", "reasoning_content"}) {
    if (fields.has(name)) message.extra[name] = fields.text(name);
  }
  if (fields.has("reasoning") && !fields.has("reasoning_content"))
    message.extra["reasoning_content"] = fields.text("reasoning");  // vLLM's later name
  if (message.content.is_null()) {
    if (message.role != "assistant" && !fields.is_null("content"))
      fields.wrong_type("content", "a string");
    message.content = "";
  }
  return message;
}

}  // namespace

std::string parse_cache_salt(const Fields& fields) {
  constexpr size_t kMostSaltBytes = 256;
  std::string salt = fields.text("cache_salt");
  if (salt.size() > kMostSaltBytes) {
    bad_request("cache_salt", "'cache_salt' has {} bytes, expected at most {}", salt.size(),
                kMostSaltBytes);
  }
  return salt;
}

std::vector<Message> parse_messages(const Fields& fields) {
  const Json* list = fields.find("messages");
  if (list == nullptr || !list->is_array()) fields.wrong_type("messages", "a list of messages");
  if (list->empty()) bad_request("messages", "'messages' is empty, expected at least one");
  std::vector<Message> messages;
  for (size_t i = 0; i < list->size(); ++i) {
    const std::string path = fmt::format("messages[{}]", i);
    const Json& message = (*list)[i];
    if (!message.is_object()) {
      bad_request(path, "'{}' is {}, expected an object", path, message.type_name());
    }
    messages.push_back(parse_message(Fields(message, path + ".")));
  }
  return messages;
}

std::vector<Token> parse_tokens(const Fields& fields, std::string_view name, const Json& list) {
  std::vector<Token> tokens;
  for (const Json& entry : list) {
    // Within int32 here; within the vocabulary is the engine's to say.
    const auto token = whole_number(entry);
    if (!token || *token < 0 || *token > std::numeric_limits<Token>::max()) {
      fields.wrong_type(name, "a string, strings, or token ids");
    }
    tokens.push_back(static_cast<Token>(*token));
  }
  return tokens;
}

std::vector<Prompt> parse_prompts(const Fields& fields, std::string_view name) {
  const Json* value = fields.find(name);
  constexpr std::string_view kExpected = "a string, strings, or token ids";
  if (value == nullptr) fields.wrong_type(name, kExpected);
  if (value->is_string()) return {value->get<std::string>()};
  if (!value->is_array() || value->empty()) fields.wrong_type(name, kExpected);
  if (value->front().is_number()) return {parse_tokens(fields, name, *value)};
  std::vector<Prompt> prompts;
  for (const Json& entry : *value) {
    if (entry.is_string()) {
      prompts.emplace_back(entry.get<std::string>());
    } else if (entry.is_array()) {
      prompts.emplace_back(parse_tokens(fields, name, entry));
    } else {
      fields.wrong_type(name, kExpected);
    }
  }
  return prompts;
}

}  // namespace tessera::serve
