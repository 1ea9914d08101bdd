// tokenizer.json: a vocabulary, and how texts are cut.
#pragma once

#include <nlohmann/json.hpp>

#include "checkpoint/tokenizer_data.h"
#include "files/huggingface/tokenizer_steps.h"
#include "files/huggingface/vocabulary_builder.h"

namespace tessera::huggingface {

struct TokenizerFile {
  TokenizerData data;  // without what `vocabulary` holds
  VocabularyBuilder vocabulary;
  Surroundings around;
  int64_t default_bos = -1, default_eos = -1;  // if no other file names one
  bool has_scores = false;
};

// Error for what is malformed, and by its name for what would change the ids and is not known.
TokenizerFile read_tokenizer_json(const nlohmann::json& json);

// An entry of "added_tokens", or of tokenizer_config.json's added_tokens_decoder, without its id.
AddedToken read_added_token(const nlohmann::json& json);

}  // namespace tessera::huggingface
