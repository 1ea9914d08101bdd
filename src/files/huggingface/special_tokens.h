// What the other files of a folder say of its tokens: tokenizer_config.json,
// special_tokens_map.json, added_tokens.json, generation_config.json, config.json.
#pragma once

#include <filesystem>

#include "files/huggingface/tokenizer_json.h"

namespace tessera::huggingface {

// Adds tokens to the vocabulary, sets who begins and ends texts.
void read_special_tokens(const std::filesystem::path& folder, TokenizerFile& file);

}  // namespace tessera::huggingface
