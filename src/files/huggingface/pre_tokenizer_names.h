// What llama.cpp calls a tokenizer's way to cut words.
#pragma once

#include <string>

#include "checkpoint/tokenizer_data.h"

namespace tessera::huggingface {

struct PreTokenizerName {
  std::string name;
  bool is_exact = false;  // or only the nearest one
};
// Whose name in tokenizer.ggml.pre cuts words like this one.
PreTokenizerName name_pre_tokenizer(TokenizerKind kind, const TextPipeline& pipeline);

}  // namespace tessera::huggingface
