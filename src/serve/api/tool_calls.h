// Function calls in the text that a model writes.
//
//   Hermes (Qwen, Hermes, SmolLM3 and others):
//     <tool_call>{"name": "f", "arguments": {...}}</tool_call>, any number, text before them
//   Llama 3: the whole answer is {"name": "f", "parameters": {...}}, several separated by ";"
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "grammar/function_calls.h"
#include "serve/http/json.h"
#include "text/chat.h"

namespace tessera::serve {

struct ToolCall {
  std::string id;  // "call_..."
  std::string name;
  std::string arguments;  // JSON
};

// Tells the calls from the rest while the text arrives in pieces of any size. What turns out to be
// no call is content, unchanged.
class ToolCallParser {
 public:
  struct Output {
    std::string content;
    std::vector<ToolCall> calls;  // whole ones
  };
  explicit ToolCallParser(ToolStyle style) : style_(style) {}
  Output push(std::string_view text);
  Output finish();

 private:
  void push_hermes(Output& output, bool last);
  void push_llama3(Output& output, bool last);

  ToolStyle style_;
  std::string held_;  // not given out yet
  bool in_call_ = false, plain_ = false;
};

// What an answer is held to that must call: the function `name`, once, or if that is empty any of
// `tools` (OpenAI's declarations), several times if `parallel`.
FunctionCalls required_calls(ToolStyle style, const Json& tools, std::string_view name,
                             bool parallel);

// For templates that know of no tools: the declarations go into the system message, calls and
// results into the text of messages. `tools` may be empty.
std::vector<Message> with_tools_as_text(const std::vector<Message>& messages, const Json& tools);

}  // namespace tessera::serve
