// What llama.cpp calls a tokenizer's way to cut words.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/tokenizer_data.h"

namespace tessera::huggingface {

struct PreTokenizerName {
  std::string name;
  bool is_exact = false;  // or only the nearest one
};
// Whose name in tokenizer.ggml.pre cuts words like this one.
PreTokenizerName name_pre_tokenizer(TokenizerKind kind, const TextPipeline& pipeline);

// The expressions that cut words, by such a name; none if only llama.cpp knows them.
std::vector<std::string_view> find_pre_tokenizer(std::string_view name);
// Is a word that is an entry that token, whatever the merges say?
bool ignores_merges(std::string_view name);

}  // namespace tessera::huggingface
