#include "text/sentencepiece_tokenizer.h"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/utf8.h"
#include "text/merge_chain.h"
#include "text/vocabulary.h"

namespace tessera {
namespace {

constexpr std::string_view kSpaceMark = "\u2581";

// What llama.cpp assumes for files that do not say; they are the ids of Llama 2.
constexpr VocabularyDefaults kDefaults = {.bos = 1, .eos = 2, .unknown = 0, .adds_bos = true};

std::string mark_spaces(std::string_view text, bool space_prefix) {
  std::string marked(space_prefix ? kSpaceMark : std::string_view());
  marked.reserve(text.size() + text.size() / 2);
  for (const char c : text) {
    if (c == ' ') {
      marked += kSpaceMark;
    } else {
      marked += c;
    }
  }
  return marked;
}

// The byte of a text "<0xNN>".
std::optional<char> parse_byte_token(const std::string& text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return std::nullopt;
  char* end = nullptr;
  const long byte = std::strtol(text.c_str() + 3, &end, 16);
  if (end != text.c_str() + 5) return std::nullopt;
  return static_cast<char>(byte);
}

}  // namespace

VocabularyData with_scores(VocabularyData data) {
  if (!data.scores) fail("tokenizer: the scores are missing, which SentencePiece needs");
  return data;
}

std::array<Token, 256> find_byte_tokens(const Vocabulary& vocabulary) {
  std::array<Token, 256> tokens;
  for (size_t byte = 0; byte < 256; ++byte) {
    tokens[byte] = vocabulary.find(fmt::format("<0x{:02X}>", byte));
    if (tokens[byte] == kNoToken)
      tokens[byte] = vocabulary.find(std::string(1, static_cast<char>(byte)));
  }
  return tokens;
}

std::string unmark_spaces(std::string_view text) {
  std::string piece;
  size_t done = 0;
  for (size_t mark = text.find(kSpaceMark); mark != std::string::npos;
       mark = text.find(kSpaceMark, done)) {
    piece.append(text, done, mark - done).push_back(' ');
    done = mark + kSpaceMark.size();
  }
  return piece.append(text, done);
}

std::string sentencepiece_piece(const Vocabulary& vocabulary, Token token) {
  const std::string& text = vocabulary.text(token);
  if (vocabulary.type(token) == TokenType::kByte) {
    if (const auto byte = parse_byte_token(text)) return std::string(1, *byte);
  }
  return unmark_spaces(text);
}

SentencePieceTokenizer::SentencePieceTokenizer(TokenizerData data)
    : Tokenizer(Vocabulary(with_scores(std::move(data.vocabulary)), kDefaults),
                data.add_space_prefix.value_or(true)),
      add_space_prefix_(data.add_space_prefix.value_or(true)),
      byte_tokens_(find_byte_tokens(vocabulary())) {}

void SentencePieceTokenizer::encode_text(std::string_view text, bool after_special,
                                         std::vector<Token>& tokens) const {
  const std::string marked = mark_spaces(text, add_space_prefix_ && after_special);
  std::vector<Symbol> symbols;
  symbols.reserve(marked.size());
  for (size_t begin = 0; begin < marked.size();) {
    const size_t length = std::min(utf8_length_from_lead(marked[begin]), marked.size() - begin);
    const auto index = static_cast<int32_t>(symbols.size());
    const Token token = vocabulary().find_text(std::string_view(marked).substr(begin, length));
    symbols.push_back(
        {token, static_cast<uint32_t>(begin), static_cast<uint32_t>(length), index - 1, index + 1});
    begin += length;
  }
  symbols.back().next = -1;  // text is never empty

  merge_symbols<float>(
      symbols, [&](const Symbol& left, const Symbol& right) -> std::optional<Merge<float>> {
        const size_t length = size_t{left.length} + right.length;
        if (length > vocabulary().longest_text()) return std::nullopt;
        const Token token =
            vocabulary().find_text(std::string_view(marked).substr(left.begin, length));
        if (token == kNoToken) return std::nullopt;
        return Merge<float>{static_cast<float>(-vocabulary().score(token)), token};
      });

  for (const Symbol& symbol : symbols) {
    if (symbol.length == 0) continue;
    if (symbol.token != kNoToken) {
      tokens.push_back(symbol.token);
      continue;
    }
    append_bytes(std::string_view(marked).substr(symbol.begin, symbol.length), tokens);
  }
}

// A character that no entry covers: its bytes, or the unknown token where bytes have no entries.
void SentencePieceTokenizer::append_bytes(std::string_view character,
                                          std::vector<Token>& tokens) const {
  const auto byte_token = [&](char byte) { return byte_tokens_[static_cast<unsigned char>(byte)]; };
  if (std::all_of(character.begin(), character.end(),
                  [&](char c) { return byte_token(c) != kNoToken; })) {
    for (const char c : character) tokens.push_back(byte_token(c));
  } else if (vocabulary().unknown()) {
    tokens.push_back(*vocabulary().unknown());
  }
}

std::string SentencePieceTokenizer::normal_piece(Token token) const {
  return sentencepiece_piece(vocabulary(), token);
}

}  // namespace tessera
