// tokenizer.model: a SentencePiece model, which is a protobuf message.
// https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/tokenizer_data.h"

namespace tessera::huggingface {

struct SentencePieceModel {
  struct Piece {
    std::string text;
    float score = 0;
    TokenType type = TokenType::kNormal;
  };
  std::vector<Piece> pieces;
  enum class Kind { kUnigram = 1, kBytePair = 2, kWord = 3, kCharacter = 4 };
  Kind kind = Kind::kUnigram;
  bool byte_fallback = false;
  int64_t unknown_id = 0, bos_id = 1, eos_id = 2, padding_id = -1;  // -1: none
  std::string charsmap;
  bool add_dummy_prefix = true, remove_extra_whitespaces = true, escape_whitespaces = true;
  bool treats_whitespace_as_suffix = false;
};

// Throws Error for what is no such message. Fields that are not known are passed over, as in
// protobuf.
SentencePieceModel parse_sentencepiece_model(std::string_view bytes);

}  // namespace tessera::huggingface
