// What a Hugging Face folder says of its tokenizer and its chat templates.
#pragma once

#include <filesystem>

#include "checkpoint/chat_templates.h"
#include "checkpoint/tokenizer_data.h"

namespace tessera::huggingface {

// From tokenizer.json, or else tokenizer.model (SentencePiece), or vocab.json and merges.txt; which
// tokens begin and end texts from tokenizer_config.json, special_tokens_map.json,
// generation_config.json and config.json. Error if there is none of the first three, or if one asks
// for something that would change the ids and that is not known here: nothing is passed over in
// silence.
TokenizerData read_tokenizer(const std::filesystem::path& folder);

// chat_template.jinja, chat_template.json, additional_chat_templates/NAME.jinja and what
// tokenizer_config.json holds; where several have one, the first of this list wins.
ChatTemplates read_chat_templates(const std::filesystem::path& folder);

}  // namespace tessera::huggingface
