// What a checkpoint says of its tokenizer, as it says it. text/ checks it and builds from it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/text_pipeline.h"

namespace tessera {

enum class TokenizerKind {
  kBytePair,       // byte-level BPE
  kSentencePiece,  // SentencePiece BPE with byte fallback
  kUnigram,        // SentencePiece unigram
  kWordPiece,      // the longest entries that begin a word or go on with it (BERT); has a pipeline
};

// As SentencePiece numbers them.
enum class TokenType : uint8_t {
  kUndefined = 0,
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

// The entries by token id, and the roles that some of them play.
struct VocabularyData {
  std::vector<std::string> texts;
  std::optional<std::vector<TokenType>> types;  // absent: all normal
  std::optional<std::vector<double>> scores;    // absent: all zero

  // Absent: what the tokenizer's kind has as its default. -1: there is none.
  std::optional<int64_t> bos_token_id, eos_token_id, unknown_token_id, padding_token_id;
  // Further tokens that end a turn or a message. Absent or -1: there is none.
  std::optional<int64_t> eot_token_id, eom_token_id;
  std::vector<int64_t> end_token_ids;                // more of them
  std::optional<bool> add_bos_token, add_eos_token;  // absent: the kind's default

  // Whose way to cut text into words, as llama.cpp's converter names it: "llama-bpe", "qwen2". "":
  // the source does not say. With a pipeline it is only the nearest of these names.
  std::string pre_tokenizer;
  // Of the model. Where a source has no flags for it, these tell which tokens take the white space
  // beside them along.
  std::string architecture, model_name;
};

struct TokenizerData {
  TokenizerKind kind = TokenizerKind::kBytePair;
  VocabularyData vocabulary;
  // BPE: "left right"; those that come first are done first.
  std::optional<std::vector<std::string>> merges;
  // SentencePiece; absent: the kind's default.
  std::optional<bool> add_space_prefix, remove_extra_whitespaces;
  std::string precompiled_charsmap;  // unigram: see text/charsmap.h; "": none
  // How texts are cut, where the source says it itself. Absent: as llama.cpp does for the kind and
  // the pre-tokenizer's name.
  std::optional<TextPipeline> pipeline;
};

}  // namespace tessera
