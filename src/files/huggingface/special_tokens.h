// What the other files of a folder say of its tokens: tokenizer_config.json, special_tokens_map.json,
// added_tokens.json, generation_config.json, config.json.
#pragma once

#include <filesystem>

#include "checkpoint/tokenizer_data.h"
#include "files/huggingface/tokenizer_steps.h"
#include "files/huggingface/vocabulary_builder.h"

namespace tessera::huggingface {

// Adds tokens to `vocabulary`, sets who begins and ends texts in `data.vocabulary`. `around`: what the
// tokenizer itself puts there.
void read_special_tokens(const std::filesystem::path& folder, const Surroundings& around,
                         VocabularyBuilder& vocabulary, TokenizerData& data);

}  // namespace tessera::huggingface
