#include "text/unigram_tokenizer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/error.h"
#include "base/utf8.h"
#include "text/sentencepiece_tokenizer.h"
#include "text/vocabulary.h"

namespace tessera {
namespace {

constexpr std::string_view kSpaceMark = "\u2581";
constexpr VocabularyDefaults kDefaults = {
    .bos = std::nullopt, .eos = 1, .unknown = 2, .adds_eos = true};

// An unknown character costs this much more than the least likely entry (SentencePiece's
// kUnkPenalty).
constexpr float kUnknownPenalty = 10.0f;

bool is_in_trie(TokenType type) {
  return type == TokenType::kNormal || type == TokenType::kUserDefined ||
         type == TokenType::kUnused;
}

ByteTrie make_trie(const Vocabulary& vocabulary) {
  std::vector<std::pair<std::string_view, Token>> words;
  for (Token token = 0; vocabulary.contains(token); ++token) {
    if (is_in_trie(vocabulary.type(token))) words.emplace_back(vocabulary.text(token), token);
  }
  return ByteTrie(std::move(words));
}

double find_unknown_score(const Vocabulary& vocabulary) {
  float lowest = 0;
  for (Token token = 0; vocabulary.contains(token); ++token) {
    if (!is_in_trie(vocabulary.type(token))) continue;
    const auto score = static_cast<float>(vocabulary.score(token));
    if (!std::isfinite(score)) fail("tokenizer: score {} is infinite", token);
    if (vocabulary.type(token) == TokenType::kNormal) lowest = std::min(lowest, score);
  }
  // llama.cpp computes it in single precision; ids depend on it.
  return double{lowest - kUnknownPenalty};
}

}  // namespace

UnigramTokenizer::UnigramTokenizer(TokenizerData data)
    : Tokenizer(Vocabulary(with_scores(std::move(data.vocabulary)), kDefaults),
                data.add_space_prefix.value_or(false)),
      add_space_prefix_(data.add_space_prefix.value_or(false)),
      remove_extra_spaces_(data.remove_extra_whitespaces.value_or(false)),
      charsmap_(data.precompiled_charsmap.empty() ? Charsmap()
                                                  : Charsmap(data.precompiled_charsmap)),
      trie_(make_trie(vocabulary())),
      unknown_score_(find_unknown_score(vocabulary())),
      byte_tokens_(find_byte_tokens(vocabulary())) {
  byte_fallback_ = std::all_of(byte_tokens_.begin(), byte_tokens_.end(), [&](Token token) {
    return token != kNoToken && vocabulary().type(token) == TokenType::kByte;
  });
  if (!byte_fallback_ && !vocabulary().unknown()) {
    fail("tokenizer: there is no unknown_token_id, which a unigram without byte tokens needs");
  }
}

std::string UnigramTokenizer::normalize(std::string_view text) const {
  std::string result;
  result.reserve(text.size() + text.size() / 2);
  bool has_prefix = false;  // the space before the first word
  bool in_word = false;
  const auto append = [&](std::string_view characters) {
    for (const char c : characters) {
      if (c == ' ') {
        in_word = false;
        if (!remove_extra_spaces_) result += kSpaceMark;
        continue;
      }
      if (!in_word && (remove_extra_spaces_ || (add_space_prefix_ && !has_prefix))) {
        result += kSpaceMark;
        has_prefix = true;
      }
      in_word = true;
      result += c;
    }
  };
  while (!text.empty()) {
    const Charsmap::Replacement replacement = charsmap_.find(text);
    if (replacement.consumed > 0) {
      append(replacement.text);
      text.remove_prefix(replacement.consumed);
      continue;
    }
    const Utf8Prefix prefix = inspect_utf8(text);
    const bool valid = prefix.kind == Utf8Prefix::Kind::kComplete;
    append(valid ? text.substr(0, prefix.length) : kReplacementCharacter);
    text.remove_prefix(valid ? prefix.length : 1);
  }
  return result;
}

void UnigramTokenizer::encode_text(std::string_view text, bool /*after_special*/,
                                   std::vector<Token>& tokens) const {
  const std::string normal = normalize(text);
  struct Best {
    double score = -std::numeric_limits<double>::max();
    uint32_t begin = 0;  // of the last token
    Token token = kNoToken;
  };
  // best[i] is the best way to cut the first i bytes (Viterbi).
  std::vector<Best> best(normal.size() + 1);
  best[0].score = 0;
  for (size_t begin = 0; begin < normal.size();) {
    const size_t character = std::min(utf8_length_from_lead(normal[begin]), normal.size() - begin);
    bool covered = false;  // by an entry of one character
    const auto offer = [&](size_t length, Token token, double score) {
      Best& other = best[begin + length];
      if (best[begin].score + score > other.score) {
        other = {best[begin].score + score, static_cast<uint32_t>(begin), token};
      }
    };
    trie_.visit_prefixes(std::string_view(normal).substr(begin), [&](size_t length, Token token) {
      covered = covered || length == character;
      const bool user_defined = vocabulary().type(token) == TokenType::kUserDefined;
      offer(length, token, user_defined ? 0.0 : vocabulary().score(token));
    });
    if (!covered) offer(character, kNoToken, unknown_score_);
    begin += character;
  }

  std::vector<std::pair<Token, std::string_view>> path;  // backwards
  for (size_t end = normal.size(); end > 0; end = best[end].begin) {
    const size_t begin = best[end].begin;
    if (best[end].token == kNoToken && !path.empty() && path.back().first == kNoToken) {
      // Unknown neighbours are one unknown token.
      const std::string_view later = path.back().second;
      path.back().second = std::string_view(normal).substr(begin, end - begin + later.size());
    } else {
      path.emplace_back(best[end].token, std::string_view(normal).substr(begin, end - begin));
    }
  }
  for (size_t i = path.size(); i-- > 0;) {
    if (path[i].first == kNoToken) {
      append_unknown(path[i].second, tokens);
    } else {
      tokens.push_back(path[i].first);
    }
  }
}

// SentencePiece models trained with byte_fallback spell unknown characters in bytes.
void UnigramTokenizer::append_unknown(std::string_view text, std::vector<Token>& tokens) const {
  if (byte_fallback_) {
    for (const char c : text) tokens.push_back(byte_tokens_[static_cast<unsigned char>(c)]);
  } else {
    tokens.push_back(*vocabulary().unknown());
  }
}

std::string UnigramTokenizer::normal_piece(Token token) const {
  return sentencepiece_piece(vocabulary(), token);
}

}  // namespace tessera
