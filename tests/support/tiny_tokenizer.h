// A small but real tokenizer for tiny models: GPT-2's byte-level BPE with 256 bytes, a few merges,
// three special tokens and ChatML as the chat template.
#pragma once

#include "files/gguf/metadata.h"

namespace tessera {

// Adds tokenizer.ggml.* and, if wanted, tokenizer.chat_template. Throws Error if `vocabulary` is
// below what the tokens need (under 300); what is left over becomes unused tokens. Without merges
// it is another vocabulary: the special tokens, then the bytes.
void add_tiny_tokenizer(GgufMetadata& metadata, int vocabulary, bool chat_template = true,
                        bool merges = true);

}  // namespace tessera
