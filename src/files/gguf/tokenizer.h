// What the metadata of a GGUF file say of its tokenizer: the keys "tokenizer.*".
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/chat_templates.h"
#include "checkpoint/tokenizer_data.h"
#include "files/gguf/metadata.h"

namespace tessera::gguf {

// What tokenizer.ggml.model says of Gemma 4's vocabularies.
inline constexpr std::string_view kGemma4Model = "gemma4";

// Error if tokenizer.ggml.model or .tokens is missing, or is none that is known, or a key has the
// wrong type.
TokenizerData read_tokenizer(const GgufMetadata& metadata);

// tokenizer.chat_template and tokenizer.chat_template.NAME.
ChatTemplates read_chat_templates(const GgufMetadata& metadata);

// Sets the keys that llama.cpp, and the two above, read. Tokens up to `entries` are added that
// nobody uses: llama.cpp wants one for each row of the token embedding. Returns what the keys
// cannot say, a line each: with them, some texts have other ids.
std::vector<std::string> write_tokenizer(const TokenizerData& data, const ChatTemplates& templates,
                                         GgufMetadata& metadata, size_t entries = 0);

}  // namespace tessera::gguf
