#include "text/word_piece_model.h"

#include <algorithm>

#include "base/error.h"

namespace tessera {

WordPieceModel::WordPieceModel(const TokenizerData& data, const Vocabulary& vocabulary)
    : WordModel(*data.pipeline, vocabulary),
      prefix_(data.pipeline->continuing_prefix),
      longest_word_(static_cast<size_t>(std::max<int64_t>(0, data.pipeline->longest_word))) {
  if (!unknown_) fail("tokenizer: there is no unknown token, which WordPiece needs");
}

void WordPieceModel::encode(std::string_view word, std::vector<Token>& tokens) const {
  const auto is_lead = [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; };
  if (static_cast<size_t>(std::ranges::count_if(word, is_lead)) > longest_word_) {
    tokens.push_back(*unknown_);
    return;
  }
  const size_t before = tokens.size();
  std::string piece;
  while (!word.empty()) {
    piece = tokens.size() > before ? prefix_ : "";
    const size_t prefix = piece.size();
    piece += word.substr(0, std::min(word.size(), vocabulary().longest_text()));
    Token token = kNoToken;
    // One character less each time. Bytes that were cut from one are of no entry either.
    while (piece.size() > prefix && (token = find(piece)) == kNoToken) {
      while (!is_lead(piece.back())) piece.pop_back();
      piece.pop_back();
    }
    if (token == kNoToken) {
      tokens.resize(before);
      tokens.push_back(*unknown_);
      return;
    }
    tokens.push_back(token);
    word.remove_prefix(piece.size() - prefix);
  }
}

std::string word_piece(std::string_view entry, std::string_view continuing_prefix) {
  if (!continuing_prefix.empty() && entry.starts_with(continuing_prefix))
    return std::string(entry.substr(continuing_prefix.size()));
  const bool is_mark =
      entry.size() == 1 && std::string_view(".,!?").find(entry[0]) != std::string_view::npos;
  std::string piece = is_mark ? "" : " ";
  piece += entry;
  return piece;
}

}  // namespace tessera
