#include "serve/api/tool_calls.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <optional>

#include "serve/http/api_error.h"
#include "serve/http/identifiers.h"

namespace tessera::serve {
namespace {

// Of an answer that may make several: a small model may not find an end.
constexpr int kMostCalls = 16;
constexpr std::string_view kOpen = "<tool_call>", kClose = "</tool_call>";

bool is_space(char c) {
  return std::isspace(static_cast<unsigned char>(c)) != 0;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

// {"name": ..., "arguments" or "parameters": ...} as a call; nullopt if it is none.
std::optional<ToolCall> parse_call(std::string_view text) {
  Json json;
  try {
    json = parse_object(trimmed(text));
  } catch (const ApiError&) {
    return std::nullopt;
  }
  const auto name = json.find("name");
  if (name == json.end() || !name->is_string()) return std::nullopt;
  auto arguments = json.find("arguments");
  if (arguments == json.end()) arguments = json.find("parameters");
  ToolCall call{.id = new_identifier("call_"), .name = name->get<std::string>(), .arguments = "{}"};
  if (arguments == json.end() || arguments->is_null()) return call;
  if (arguments->is_string()) {
    call.arguments = arguments->get<std::string>();
  } else if (arguments->is_object()) {
    call.arguments = to_text(*arguments);
  } else {
    return std::nullopt;
  }
  return call;
}

// The length of the ending of `text` that may be the beginning of a call: blanks and a part of the
// opening tag.
size_t held_ending(std::string_view text) {
  size_t tag = std::min(text.size(), kOpen.size() - 1);
  while (tag > 0 && text.substr(text.size() - tag) != kOpen.substr(0, tag)) --tag;
  size_t start = text.size() - tag;
  while (start > 0 && is_space(text[start - 1])) --start;
  return text.size() - start;
}

// Where the closing tag of a call stands. One within a string of its JSON is part of an argument.
size_t find_close(std::string_view text) {
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (in_string && text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      in_string = !in_string;
    } else if (!in_string && text.substr(i).starts_with(kClose)) {
      return i;
    }
  }
  return text.npos;
}

// The JSON object that `text` begins with, by its braces; empty if it does not end.
std::string_view leading_object(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{') {
      ++depth;
    } else if (c == '}' && --depth == 0) {
      return text.substr(0, i + 1);
    }
  }
  return {};
}

}  // namespace

ToolCallParser::Output ToolCallParser::push(std::string_view text) {
  held_ += text;
  Output output;
  style_ == ToolStyle::kHermes ? push_hermes(output, false) : push_llama3(output, false);
  return output;
}

ToolCallParser::Output ToolCallParser::finish() {
  Output output;
  style_ == ToolStyle::kHermes ? push_hermes(output, true) : push_llama3(output, true);
  return output;
}

void ToolCallParser::push_hermes(Output& output, bool last) {
  for (;;) {
    if (!in_call_) {
      const size_t open = held_.find(kOpen);
      if (open == std::string::npos) {
        const size_t ready = held_.size() - (last ? 0 : held_ending(held_));
        output.content += held_.substr(0, ready);
        held_.erase(0, ready);
        return;
      }
      // Blanks before a call are layout, not content.
      size_t end = open;
      while (end > 0 && is_space(held_[end - 1])) --end;
      output.content += held_.substr(0, end);
      held_.erase(0, open + kOpen.size());
      in_call_ = true;
    }
    size_t close = find_close(held_);
    if (close == std::string::npos && !last) return;
    auto call = parse_call(std::string_view(held_).substr(0, close));
    if (!call) {  // its quotes mean nothing, then
      close = held_.find(kClose);
      call = parse_call(std::string_view(held_).substr(0, close));
    }
    if (call) {
      output.calls.push_back(std::move(*call));
    } else {
      output.content += std::string(kOpen) + held_.substr(0, close);
      if (close != std::string::npos) output.content += kClose;
    }
    held_.erase(0, close == std::string::npos ? close : close + kClose.size());
    in_call_ = false;
    if (held_.empty() && last) return;
  }
}

void ToolCallParser::push_llama3(Output& output, bool last) {
  const std::string_view text = trimmed(held_);
  if (!plain_ && !text.empty() && text.front() != '{') plain_ = true;
  if (!plain_ && !last) return;
  if (!plain_) {
    std::vector<ToolCall> calls;
    std::string_view rest = text;
    while (!rest.empty()) {
      const std::string_view object = leading_object(rest);
      auto call = object.empty() ? std::nullopt : parse_call(object);
      if (!call) break;
      calls.push_back(std::move(*call));
      rest.remove_prefix(object.size());
      while (!rest.empty() && (is_space(rest.front()) || rest.front() == ';'))
        rest.remove_prefix(1);
    }
    if (rest.empty()) {
      output.calls = std::move(calls);
      held_.clear();
      return;
    }
  }
  output.content += held_;
  held_.clear();
}

FunctionCalls required_calls(ToolStyle style, const Json& tools, std::string_view name,
                             bool parallel) {
  FunctionCalls calls = style == ToolStyle::kHermes
                            ? FunctionCalls{.open = fmt::format("{}\n{{\"name\": ", kOpen),
                                            .between = ", \"arguments\": ",
                                            .close = fmt::format("}}\n{}", kClose),
                                            .separator = "\n"}
                            : FunctionCalls{.open = "{\"name\": ",
                                            .between = ", \"parameters\": ",
                                            .close = "}",
                                            .separator = "; "};
  if (name.empty() && parallel) calls.most = kMostCalls;
  for (const Json& tool : tools) {
    const Json& function = tool["function"];
    const auto& declared = function["name"].get_ref<const std::string&>();
    if (!name.empty() && declared != name) continue;
    const auto parameters = function.find("parameters");
    const bool none = parameters == function.end() || parameters->is_null();
    calls.functions.push_back({declared, none ? "" : to_text(*parameters)});
  }
  return calls;
}

namespace {

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
  return fmt::format("{}\n{}\n{}", kOpen, to_text(body), kClose);
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

}  // namespace tessera::serve
