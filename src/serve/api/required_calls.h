// Answers that are held to function calls.
#pragma once

#include <string_view>

#include "grammar/function_calls.h"
#include "serve/http/json.h"
#include "text/chat.h"

namespace tessera::serve {

// What an answer is held to that must call: the function `name`, once, or if that is empty any of
// `tools` (OpenAI's declarations), several times if `parallel`.
FunctionCalls required_calls(ToolStyle style, const Json& tools, std::string_view name,
                             bool parallel);

}  // namespace tessera::serve
