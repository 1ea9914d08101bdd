#include "serve/api/required_calls.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/printable.h"
#include "text/marked_call.h"
#include "text/tool_calls.h"

namespace tessera::serve {
namespace {

// Of an answer that may make several: a small model may not find an end.
constexpr int kMostCalls = 16;

// What stands around a call.
FunctionCalls frame_of(ToolStyle style) {
  switch (style) {
    case ToolStyle::kHermes:
      break;
    case ToolStyle::kLlama3:
      return {
          .open = "{\"name\": ", .between = ", \"parameters\": ", .close = "}", .separator = "; "};
    case ToolStyle::kGemma4:  // whose arguments are JSON here, which is understood as well
      return {.open = "<|tool_call>call:",
              .between = "",
              .close = "<tool_call|>",
              .quotes_names = false};
  }
  return {.open = fmt::format("{}\n{{\"name\": ", kToolCallOpen),
          .between = ", \"arguments\": ",
          .close = fmt::format("}}\n{}", kToolCallClose),
          .separator = "\n"};
}

}  // namespace

FunctionCalls required_calls(ToolStyle style, const Json& tools, std::string_view name,
                             bool parallel) {
  FunctionCalls calls = frame_of(style);
  if (name.empty() && parallel) calls.most = kMostCalls;
  for (const Json& tool : tools) {
    const Json& function = tool["function"];
    const auto& declared = function["name"].get_ref<const std::string&>();
    if (!name.empty() && declared != name) continue;
    if (style == ToolStyle::kGemma4 && !can_be_marked(declared))
      fail("function '{}' has a name that this model's calls cannot spell",
           printable(declared, 100));
    const auto parameters = function.find("parameters");
    const bool none = parameters == function.end() || parameters->is_null();
    calls.functions.push_back({declared, none ? "" : to_text(*parameters)});
  }
  return calls;
}

}  // namespace tessera::serve
