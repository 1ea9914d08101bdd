#include "text/bpe_tokenizer.h"

#include <utility>

#include "base/error.h"
#include "base/utf8.h"
#include "checkpoint/byte_alphabet.h"
#include "text/vocabulary.h"
#include "text/word_model.h"

namespace tessera {
namespace {

// Words repeat: each is merged once for each call of encode. Bounded, for text may be anything.
constexpr size_t kMaxCachedWords = 1 << 16;
constexpr size_t kMaxCachedWordBytes = 64;

VocabularyDefaults defaults_of(const PreTokenizerFamily& family) {
  VocabularyDefaults defaults;
  defaults.adds_bos = family.adds_bos;
  return defaults;
}

}  // namespace

BpeTokenizer::BpeTokenizer(TokenizerData data)
    : BpeTokenizer(std::move(data), find_pre_tokenizer_family(data.vocabulary.pre_tokenizer)) {}

BpeTokenizer::BpeTokenizer(TokenizerData&& data, const PreTokenizerFamily& family)
    : Tokenizer(Vocabulary(std::move(data.vocabulary), defaults_of(family)), false),
      pre_tokenizer_(family.steps) {
  for (size_t byte = 0; byte < 256; ++byte) {
    byte_tokens_[byte] = vocabulary().find(byte_to_alphabet(static_cast<unsigned char>(byte)));
  }
  if (!data.merges) fail("tokenizer: the merges are missing, which byte-level BPE needs");
  merges_ = index_merges(*data.merges, vocabulary(), EqualMerges::kFirstCounts);
  if (family.ignore_merges) {
    for (Token token = 0; vocabulary().contains(token); ++token) {
      if (vocabulary().type(token) == TokenType::kControl) continue;
      if (auto bytes = bytes_from_alphabet(vocabulary().text(token))) {
        whole_words_.emplace(std::move(*bytes), token);
      }
    }
  }
}

void BpeTokenizer::encode_text(std::string_view text, bool /*after_special*/,
                               std::vector<Token>& tokens) const {
  std::string repaired;
  if (!is_valid_utf8(text)) text = repaired = replace_invalid_bytes(text);

  struct Range {
    size_t begin, length;  // in `tokens`
  };
  std::unordered_map<std::string_view, Range> cache;
  std::vector<Symbol> scratch;
  for (const std::string_view word : pre_tokenizer_.split(text)) {
    const bool cacheable = word.size() <= kMaxCachedWordBytes;
    if (const auto known = cacheable ? cache.find(word) : cache.end(); known != cache.end()) {
      const Range range = known->second;
      for (size_t i = 0; i < range.length; ++i) tokens.push_back(tokens[range.begin + i]);
      continue;
    }
    const size_t begin = tokens.size();
    encode_word(word, scratch, tokens);
    if (cacheable && cache.size() < kMaxCachedWords)
      cache.emplace(word, Range{begin, tokens.size() - begin});
  }
}

void BpeTokenizer::encode_word(std::string_view word, std::vector<Symbol>& scratch,
                               std::vector<Token>& tokens) const {
  if (!whole_words_.empty()) {
    if (const auto found = whole_words_.find(std::string(word)); found != whole_words_.end()) {
      tokens.push_back(found->second);
      return;
    }
  }
  scratch.clear();
  for (size_t i = 0; i < word.size(); ++i) {
    const auto index = static_cast<int32_t>(i);
    const bool last = i + 1 == word.size();
    scratch.push_back({byte_tokens_[static_cast<unsigned char>(word[i])], static_cast<uint32_t>(i),
                       1, index - 1, last ? -1 : index + 1});
  }
  merge_symbols<int32_t>(scratch, [&](const Symbol& left, const Symbol& right) {
    const auto found = merges_.find(merge_key(left.token, right.token));
    return found == merges_.end() ? std::nullopt : std::optional(found->second);
  });
  for (const Symbol& symbol : scratch) {
    // A byte that the vocabulary lacks (SmolLM2 lacks some that UTF-8 hardly uses) is dropped, as
    // llama.cpp and Hugging Face's tokenizers do.
    if (symbol.length > 0 && symbol.token != kNoToken) tokens.push_back(symbol.token);
  }
}

std::string BpeTokenizer::normal_piece(Token token) const {
  if (vocabulary().type(token) == TokenType::kByte) return "";  // byte-level BPE knows no such type
  const std::string& text = vocabulary().text(token);
  return bytes_from_alphabet(text).value_or(text);
}

}  // namespace tessera
