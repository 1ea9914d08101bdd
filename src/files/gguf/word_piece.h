// WordPiece in GGUF (the tokenizer model "bert"): entries that begin a word have U+2581 before
// them, and those that go on with one nothing, where everybody else writes "word" and "##ing".
#pragma once

#include <string>
#include <vector>

#include "checkpoint/tokenizer_data.h"
#include "files/gguf/metadata.h"

namespace tessera::gguf {

// Makes of a vocabulary as it lies in the file what TokenizerData has, the pipeline included.
void complete_word_piece(const GgufMetadata& metadata, TokenizerData& data);

// The other way round: `texts` are the vocabulary's,
void mark_word_pieces(const TokenizerData& data, std::vector<std::string>& texts);
// and the keys beside it. Returns what they cannot say, a line each.
std::vector<std::string> write_word_piece(const TokenizerData& data, GgufMetadata& metadata);

}  // namespace tessera::gguf
