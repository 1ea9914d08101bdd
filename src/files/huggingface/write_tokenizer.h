// tokenizer.json and tokenizer_config.json of a tokenizer that a GGUF file describes.
#pragma once

#include <nlohmann/json.hpp>

#include "checkpoint/tokenizer_data.h"

namespace tessera::huggingface {

// Byte-level BPE whose pre-tokenizer is known by name, SentencePiece's BPE, whose merges follow
// from the scores, and its Unigram. Error for others.
nlohmann::ordered_json write_tokenizer_json(const TokenizerData& data);
nlohmann::ordered_json write_tokenizer_config(const TokenizerData& data);

// The tokens that end an answer, the usual one first.
std::vector<int64_t> end_tokens(const VocabularyData& vocabulary);

}  // namespace tessera::huggingface
