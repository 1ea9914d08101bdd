// Pulling models from the Hugging Face hub, or from any https server, into the cache folder.
// The hub's API: https://huggingface.co/docs/hub/api
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "files/http.h"

namespace tessera {

struct PullOptions {
  std::string endpoint;         // the hub; default: $HF_ENDPOINT, else https://huggingface.co
  std::string token;            // default: $HF_TOKEN; sent to the endpoint only
  std::filesystem::path cache;  // default: cache_folder()
  HttpOptions http;             // patience; its token fields are set by pull()
};

// Downloads what `reference` names (hf:OWNER/REPO[/FILE] or a URL), unless it is there already, and
// returns the path of the GGUF (of the first member, if it is split: all of them are pulled).
// Without FILE it takes the repository's one model, or its one Q4_K_M. Sizes and SHA-256 are
// checked against the hub's listing. Throws Error: one line saying what failed, or listing the
// choices.
std::filesystem::path pull(std::string_view reference, PullOptions options = {});

}  // namespace tessera
