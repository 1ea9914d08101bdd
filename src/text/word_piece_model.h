// WordPiece (Schuster & Nakajima 2012) as BERT uses it: from the beginning of a word on always the
// longest entry, of those that begin words and then of those that go on with them ("##ing"). A word
// that cannot be cut so is one unknown token.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/word_model.h"

namespace tessera {

class WordPieceModel final : public WordModel {
 public:
  // Error if there is no unknown token.
  WordPieceModel(const TokenizerData& data, const Vocabulary& vocabulary);
  void encode(std::string_view word, std::vector<Token>& tokens) const override;

 private:
  std::string prefix_;
  size_t longest_word_;  // in characters
};

// What an entry reads as within a text: a word has a space before it, unless it is a mark that ends
// a sentence or a clause, as Hugging Face's decoder has it.
std::string word_piece(std::string_view entry, std::string_view continuing_prefix);

}  // namespace tessera
