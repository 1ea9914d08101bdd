// Results of tools as some templates want them: beside the calls, not as turns of their own.
#pragma once

#include <vector>

#include "text/chat.h"

namespace tessera {

// The model's turn from its calls to what it says of their results becomes one message with
// "tool_responses", [{"name", "response"}]: Gemma 4's first templates.
std::vector<Message> with_tool_responses(std::vector<Message> messages);

}  // namespace tessera
