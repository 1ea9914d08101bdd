// SentencePiece unigram: T5 and kin. Of all ways to cut the text into entries the one whose scores
// (log probabilities) sum to the most. Kudo, "Subword Regularization" (2018).
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "text/byte_trie.h"
#include "text/charsmap.h"
#include "text/tokenizer.h"

namespace tessera {

class UnigramTokenizer final : public Tokenizer {
 public:
  explicit UnigramTokenizer(TokenizerData data);

 private:
  void encode_text(std::string_view text, bool after_special,
                   std::vector<Token>& tokens) const override;
  std::string normal_piece(Token token) const override;
  // As the model was trained: characters replaced, invalid bytes too, white space reduced, spaces
  // marked with U+2581.
  std::string normalize(std::string_view text) const;
  void append_unknown(std::string_view text, std::vector<Token>& tokens) const;

  bool add_space_prefix_;
  bool remove_extra_spaces_;
  Charsmap charsmap_;
  ByteTrie trie_;
  double unknown_score_;
  bool byte_fallback_;
  std::array<Token, 256> byte_tokens_;
};

}  // namespace tessera
