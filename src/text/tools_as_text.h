// Function calls for models whose chat template knows of none.
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "text/chat.h"

namespace tessera {

// The declarations (OpenAI's, a list that may be empty) go into the system message, calls and
// results into the text of messages.
std::vector<Message> with_tools_as_text(const std::vector<Message>& messages,
                                        const nlohmann::ordered_json& tools);

}  // namespace tessera
