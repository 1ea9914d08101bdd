// SentencePiece BPE: Llama 1 and 2, Mistral, Gemma, Phi-3. Kudo and Richardson, "SentencePiece"
// (2018). Text is not cut into words; the pair whose joint entry has the highest score is joined
// first; characters without an entry become byte tokens <0xNN>.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace tessera {

// `data` as it is; Error if it has no scores.
VocabularyData with_scores(VocabularyData data);

// The tokens "<0x00>" to "<0xFF>", or where there is none the entry that is the byte itself;
// kNoToken if neither is there.
std::array<Token, 256> find_byte_tokens(const Vocabulary& vocabulary);

// With spaces for U+2581.
std::string unmark_spaces(std::string_view text);

// What a SentencePiece entry reads as: U+2581 is a space; a byte token is its byte.
std::string sentencepiece_piece(const Vocabulary& vocabulary, Token token);

class SentencePieceTokenizer final : public Tokenizer {
 public:
  explicit SentencePieceTokenizer(TokenizerData data);

 private:
  void encode_text(std::string_view text, bool after_special,
                   std::vector<Token>& tokens) const override;
  void append_bytes(std::string_view character, std::vector<Token>& tokens) const;
  std::string normal_piece(Token token) const override;

  bool add_space_prefix_;
  std::array<Token, 256> byte_tokens_;
};

}  // namespace tessera
