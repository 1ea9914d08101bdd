// The paths that clients ask for, and those that they find.
#pragma once

#include <string>
#include <string_view>

namespace tessera::serve {

// The same path as the routes have it: without slashes that are double or at the end, with "/v1"
// where OpenAI has it, whether the client's base URL ended in "/v1" or not ("/chat/completions",
// "/v1/v1/models/", "/v1/health").
std::string canonical_path(const std::string& path);

// What does here what `path` does in llama-server, Ollama, vLLM and others, such as
// "POST /v1/chat/completions" for "/api/chat"; empty if nothing does.
std::string_view counterpart_of(std::string_view path);

}  // namespace tessera::serve
