// Pulling from the Hugging Face hub, or from any https server.
// The hub's API: https://huggingface.co/docs/hub/api
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "files/model_reference.h"
#include "files/pull.h"

namespace tessera {

// Of pull() (files/pull.h), the cases of a hub reference and of a URL. Every option has its value.
// `text` is what the user wrote. Without a file, choose_gguf takes one of the repository's; of one
// that holds safetensors instead, all is fetched that a folder needs (files/huggingface/folder.h).
std::filesystem::path pull_from_hub(std::string_view text, HubReference reference,
                                    const PullOptions& options);
std::filesystem::path pull_from_url(const std::string& url, const PullOptions& options);

}  // namespace tessera
