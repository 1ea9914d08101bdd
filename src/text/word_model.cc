#include "text/word_model.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "base/utf8.h"
#include "text/sentencepiece_tokenizer.h"
#include "text/word_piece_model.h"

namespace tessera {
namespace {

// Where the space is that parts the two tokens of a merge. They may hold spaces themselves; of
// several places the first is meant that leaves two tokens, and joins them to one.
size_t find_separator(std::string_view merge, const Vocabulary& vocabulary) {
  // A pair may begin with a space, but not be nothing else.
  const size_t first = merge.find(' ', 1);
  if (first == std::string_view::npos) return first;
  for (size_t space = first; space != std::string_view::npos; space = merge.find(' ', space + 1)) {
    const std::string_view left = merge.substr(0, space), right = merge.substr(space + 1);
    if (vocabulary.find(left) != kNoToken && vocabulary.find(right) != kNoToken &&
        vocabulary.find(std::string(left).append(right)) != kNoToken)
      return space;
  }
  return first;
}

}  // namespace

uint64_t merge_key(Token left, Token right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

std::unordered_map<uint64_t, Merge<int32_t>> index_merges(const std::vector<std::string>& merges,
                                                          const Vocabulary& vocabulary,
                                                          EqualMerges equal) {
  std::unordered_map<uint64_t, Merge<int32_t>> index;
  index.reserve(merges.size());
  for (size_t i = 0; i < merges.size(); ++i) {
    const std::string_view merge = merges[i];
    const size_t space = find_separator(merge, vocabulary);
    if (space == std::string_view::npos) {
      fail("tokenizer: merge {} is '{}', expected two tokens and a space between", i,
           printable(merge));
    }
    const auto require = [&](std::string_view text) {
      const Token token = vocabulary.find(text);
      if (token == kNoToken) {
        fail("tokenizer: merge {}, '{}', needs the token '{}', which the vocabulary lacks", i,
             printable(merge), printable(text));
      }
      return token;
    };
    const std::string_view left = merge.substr(0, space), right = merge.substr(space + 1);
    const Token joined = require(std::string(left).append(right));
    if (vocabulary.type(joined) == TokenType::kControl) continue;
    const uint64_t key = merge_key(require(left), require(right));
    const Merge<int32_t> entry = {static_cast<int32_t>(i), joined};
    const auto [place, added] = index.emplace(key, entry);
    if (!added && equal == EqualMerges::kLastCounts) place->second = entry;
  }
  return index;
}

std::unique_ptr<const WordModel> WordModel::make(const TokenizerData& data,
                                                 const Vocabulary& vocabulary) {
  if (data.kind == TokenizerKind::kWordPiece)
    return std::make_unique<const WordPieceModel>(data, vocabulary);
  if (data.kind == TokenizerKind::kUnigram)
    return std::make_unique<const UnigramModel>(data, vocabulary);
  if (data.kind == TokenizerKind::kSentencePiece && !data.merges)
    return std::make_unique<const ScoredBpeModel>(data, vocabulary);
  return std::make_unique<const BpeModel>(data, vocabulary);
}

WordModel::WordModel(const TextPipeline& pipeline, const Vocabulary& vocabulary)
    : byte_fallback_(pipeline.byte_fallback),
      vocabulary_(vocabulary),
      is_foreign_(vocabulary.size()) {
  if (const auto id = pipeline.unknown_id) {
    if (*id < 0 || static_cast<uint64_t>(*id) >= vocabulary.size())
      fail("tokenizer: unknown_id {} is outside the vocabulary of {} tokens", *id,
           vocabulary.size());
    unknown_ = static_cast<Token>(*id);
  }
  for (const AddedToken& token : pipeline.added_tokens) {
    if (token.id < 0 || static_cast<uint64_t>(token.id) >= vocabulary.size())
      fail("tokenizer: the added token {} is outside the vocabulary of {} tokens", token.id,
           vocabulary.size());
    if (!token.in_model) is_foreign_[static_cast<size_t>(token.id)] = true;
  }
  for (size_t byte = 0; byte < 256; ++byte)
    byte_tokens_[byte] = find(fmt::format("<0x{:02X}>", byte));
}

WordModel::~WordModel() = default;

bool WordModel::is_foreign(Token token) const {
  return is_foreign_[static_cast<size_t>(token)] || vocabulary_.type(token) == TokenType::kUnused;
}

bool WordModel::is_of_model(Token token) const {
  const TokenType type = vocabulary_.type(token);
  return !is_foreign(token) && type != TokenType::kControl && type != TokenType::kUnknown;
}

Token WordModel::find(std::string_view text) const {
  const Token token = vocabulary_.find(text);
  return token == kNoToken || !is_of_model(token) ? kNoToken : token;
}

bool WordModel::append_bytes(std::string_view text, std::vector<Token>& tokens) const {
  if (!byte_fallback_ ||
      !std::all_of(text.begin(), text.end(), [&](char c) { return byte_token(c) != kNoToken; }))
    return false;
  for (const char c : text) tokens.push_back(byte_token(c));
  return true;
}

BpeModel::BpeModel(const TokenizerData& data, const Vocabulary& vocabulary)
    : WordModel(*data.pipeline, vocabulary),
      ignores_merges_(data.pipeline->ignores_merges),
      fuses_unknown_(data.pipeline->fuses_unknown) {
  if (!data.merges) fail("tokenizer: the merges are missing, which BPE needs");
  merges_ = index_merges(*data.merges, vocabulary, EqualMerges::kLastCounts);
}

void BpeModel::encode(std::string_view word, std::vector<Token>& tokens) const {
  if (ignores_merges_) {
    if (const Token token = find(word); token != kNoToken) {
      tokens.push_back(token);
      return;
    }
  }
  std::vector<Symbol> symbols;
  symbols.reserve(word.size());
  const auto add = [&](Token token, size_t length) {
    const auto index = static_cast<int32_t>(symbols.size());
    symbols.push_back({token, 0, static_cast<uint32_t>(length), index - 1, index + 1});
  };
  size_t unknown_length = 0;  // of the unknown characters that no symbol stands for yet
  const auto add_unknown = [&] {
    if (unknown_length > 0) add(*unknown_, std::exchange(unknown_length, 0));
  };
  while (!word.empty()) {
    const size_t length = std::min(utf8_length_from_lead(word[0]), word.size());
    const std::string_view character = word.substr(0, length);
    word.remove_prefix(length);
    if (const Token token = find(character); token != kNoToken) {
      add_unknown();
      add(token, length);
    } else if (byte_fallback_ && std::all_of(character.begin(), character.end(),
                                             [&](char c) { return byte_token(c) != kNoToken; })) {
      for (const char c : character) add(byte_token(c), 1);
    } else if (unknown_) {
      if (!fuses_unknown_) add_unknown();
      unknown_length += length;
    }
  }
  add_unknown();
  if (symbols.empty()) return;
  symbols.back().next = -1;

  merge_symbols<int32_t>(symbols, [&](const Symbol& left, const Symbol& right) {
    const auto found = merges_.find(merge_key(left.token, right.token));
    return found == merges_.end() ? std::nullopt : std::optional(found->second);
  });
  for (const Symbol& symbol : symbols) {
    if (symbol.length > 0) tokens.push_back(symbol.token);
  }
}

ScoredBpeModel::ScoredBpeModel(const TokenizerData& data, const Vocabulary& vocabulary)
    : WordModel(*data.pipeline, vocabulary) {}

void ScoredBpeModel::encode(std::string_view word, std::vector<Token>& tokens) const {
  std::vector<Symbol> symbols;
  symbols.reserve(word.size());
  for (size_t begin = 0; begin < word.size();) {
    const size_t length = std::min(utf8_length_from_lead(word[begin]), word.size() - begin);
    const auto index = static_cast<int32_t>(symbols.size());
    symbols.push_back({find(word.substr(begin, length)), static_cast<uint32_t>(begin),
                       static_cast<uint32_t>(length), index - 1, index + 1});
    begin += length;
  }
  symbols.back().next = -1;
  merge_symbols<double>(
      symbols, [&](const Symbol& left, const Symbol& right) -> std::optional<Merge<double>> {
        const size_t length = size_t{left.length} + right.length;
        if (length > vocabulary().longest_text()) return std::nullopt;
        const Token token = find(word.substr(left.begin, length));
        if (token == kNoToken) return std::nullopt;
        return Merge<double>{-vocabulary().score(token), token};
      });
  bool after_unknown = false;  // unknown neighbours are one
  for (const Symbol& symbol : symbols) {
    if (symbol.length == 0) continue;
    const bool is_unknown =
        symbol.token == kNoToken && !append_bytes(word.substr(symbol.begin, symbol.length), tokens);
    if (symbol.token != kNoToken) tokens.push_back(symbol.token);
    if (is_unknown && !after_unknown && unknown_) tokens.push_back(*unknown_);
    after_unknown = is_unknown;
  }
}

UnigramModel::UnigramModel(const TokenizerData& data, const Vocabulary& vocabulary)
    : WordModel(*data.pipeline, vocabulary),
      trie_({}),
      as_sentencepiece_(data.pipeline->as_sentencepiece) {
  std::vector<std::pair<std::string_view, Token>> words;
  double lowest = std::numeric_limits<double>::infinity();
  for (Token token = 0; vocabulary.contains(token); ++token) {
    const double score = vocabulary.score(token);
    if (!std::isfinite(score)) fail("tokenizer: score {} is infinite", token);
    const TokenType type = vocabulary.type(token);
    const bool counts = as_sentencepiece_ ? type == TokenType::kNormal : !is_foreign(token);
    if (counts) lowest = std::min(lowest, score);
    if (is_of_model(token) && !(as_sentencepiece_ && type == TokenType::kByte))
      words.emplace_back(vocabulary.text(token), token);
  }
  trie_ = ByteTrie(std::move(words));
  unknown_score_ = lowest - 10.0;  // SentencePiece's kUnkPenalty
  if (as_sentencepiece_) unknown_score_ = static_cast<float>(unknown_score_);
}

void UnigramModel::encode(std::string_view word, std::vector<Token>& tokens) const {
  struct Best {
    double score = 0;
    uint32_t begin = 0;  // of the last token
    bool is_reached = false;
    Token token = kNoToken;  // an unknown character, if nothing else
  };
  // best[i] is the best way to cut the first i bytes (Viterbi).
  std::vector<Best> best(word.size() + 1);
  for (size_t begin = 0; begin < word.size();) {
    const size_t character = std::min(utf8_length_from_lead(word[begin]), word.size() - begin);
    bool covered = false;  // by an entry of one character
    const double until = best[begin].score;
    const auto offer = [&](size_t length, Token token, double score) {
      Best& other = best[begin + length];
      if (as_sentencepiece_) score = static_cast<float>(score);
      if (other.is_reached && !(score > other.score)) return;
      other = {score, static_cast<uint32_t>(begin), true, token};
    };
    trie_.visit_prefixes(word.substr(begin), [&](size_t length, Token token) {
      covered = covered || length == character;
      offer(length, token, vocabulary().score(token) + until);
    });
    if (!covered) offer(character, unknown_.value_or(kNoToken), unknown_score_ + until);
    begin += character;
  }

  struct Piece {
    Token token;
    size_t begin, end;
  };
  std::vector<Piece> path;  // backwards
  for (size_t end = word.size(); end > 0; end = best[end].begin) {
    const Best& last = best[end];
    const bool is_unknown = last.token == kNoToken || last.token == unknown_;
    if (is_unknown && !path.empty() && path.back().token == kNoToken) {
      path.back().begin = last.begin;  // unknown neighbours are one
    } else {
      path.push_back({is_unknown ? kNoToken : last.token, last.begin, end});
    }
  }
  for (size_t i = path.size(); i-- > 0;) {
    const Piece& piece = path[i];
    if (piece.token == kNoToken) {
      append_unknown(word.substr(piece.begin, piece.end - piece.begin), tokens);
    } else {
      tokens.push_back(piece.token);
    }
  }
}

void UnigramModel::append_unknown(std::string_view text, std::vector<Token>& tokens) const {
  if (const Token whole = find(text); whole != kNoToken) {
    tokens.push_back(whole);
  } else if (append_bytes(text, tokens)) {
    return;
  } else if (unknown_) {
    tokens.push_back(*unknown_);
  } else {
    fail("tokenizer: a text has '{}', which the vocabulary lacks, and it has no unknown token",
         printable(text));
  }
}

}  // namespace tessera
