// What llama.cpp calls a tokenizer's way to cut words.
#pragma once

#include <string>
#include <string_view>

#include "checkpoint/tokenizer_data.h"

namespace tessera::huggingface {

// The name in tokenizer.ggml.pre of a tokenizer that cuts words like this one; if none does, the
// nearest one's.
std::string name_pre_tokenizer(TokenizerKind kind, const TextPipeline& pipeline);
// Whether the name is more than the nearest.
bool is_named_exactly(TokenizerKind kind, const TextPipeline& pipeline);

}  // namespace tessera::huggingface
