// vocab.json and merges.txt: byte-level BPE as folders had it before tokenizer.json.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

namespace tessera::huggingface {

// What a tokenizer.json would say: as transformers converts the tokenizer's class
// (convert_slow_tokenizer.py), GPT-2's or Qwen 2's. nullopt if there is no vocab.json. Error for
// another class, and for files that are malformed; what they mean is read_tokenizer_json's to say.
std::optional<nlohmann::json> find_vocabulary_files(const std::filesystem::path& folder);

}  // namespace tessera::huggingface
