// What the metadata of a GGUF file say of its tokenizer: the keys "tokenizer.*".
#pragma once

#include "checkpoint/chat_templates.h"
#include "checkpoint/tokenizer_data.h"
#include "files/gguf/metadata.h"

namespace tessera::gguf {

// Error if tokenizer.ggml.model or .tokens is missing, or is none that is known, or a key has the
// wrong type.
TokenizerData read_tokenizer(const GgufMetadata& metadata);

// tokenizer.chat_template and tokenizer.chat_template.NAME.
ChatTemplates read_chat_templates(const GgufMetadata& metadata);

}  // namespace tessera::gguf
