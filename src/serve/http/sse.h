// Server-sent events (WHATWG HTML, section 9.2), as OpenAI's API streams answers.
#pragma once

#include <string>
#include <vector>

#include "serve/http/json.h"

namespace tessera::serve {

inline constexpr const char* kEventStream = "text/event-stream";

std::string event(const std::string& data);  // of one line
// One event for each object.
std::string events(const std::vector<Json>& objects);
std::string last_event();  // "data: [DONE]"
std::string keep_alive();  // a comment, so that nobody between takes the silence for an end

}  // namespace tessera::serve
