// From words to tokens, as the models of Hugging Face's "tokenizers" do it, ties and all.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "checkpoint/tokenizer_data.h"
#include "text/byte_trie.h"
#include "text/merge_chain.h"
#include "text/vocabulary.h"

namespace tessera {

class WordModel {
 public:
  // Keeps a reference to `vocabulary`, made of `data`. Throws Error for what is missing or
  // malformed.
  static std::unique_ptr<const WordModel> make(const TokenizerData& data,
                                               const Vocabulary& vocabulary);
  virtual ~WordModel();

  // Appends the tokens of `word`, which is valid UTF-8 and not empty. No control token is among
  // them.
  virtual void encode(std::string_view word, std::vector<Token>& tokens) const = 0;

 protected:
  WordModel(const TextPipeline& pipeline, const Vocabulary& vocabulary);
  const Vocabulary& vocabulary() const { return vocabulary_; }
  bool is_foreign(Token token) const;  // none of the model's own
  // Whether the model's own vocabulary has the token, and it is not one that steers.
  bool is_of_model(Token token) const;
  Token find(std::string_view text) const;  // kNoToken if none of these reads so
  Token byte_token(char byte) const { return byte_tokens_[static_cast<unsigned char>(byte)]; }
  // Appends the tokens of the bytes, if there are such and they all have one.
  bool append_bytes(std::string_view text, std::vector<Token>& tokens) const;

  std::optional<Token> unknown_;
  bool byte_fallback_;

 private:
  const Vocabulary& vocabulary_;
  std::vector<bool> is_foreign_;  // added beside the model's own
  std::array<Token, 256> byte_tokens_;
};

// Neighbours are joined in the order of the merges, as in merge_chain.h, beginning with characters.
class BpeModel final : public WordModel {
 public:
  BpeModel(const TokenizerData& data, const Vocabulary& vocabulary);
  void encode(std::string_view word, std::vector<Token>& tokens) const override;

 private:
  std::unordered_map<uint64_t, Merge<int32_t>> merges_;
  bool ignores_merges_, fuses_unknown_;
};

// The same in the order of the joint entries' scores, as SentencePiece does it.
class ScoredBpeModel final : public WordModel {
 public:
  ScoredBpeModel(const TokenizerData& data, const Vocabulary& vocabulary);
  void encode(std::string_view word, std::vector<Token>& tokens) const override;
};

// Of all ways to cut a word into entries the one whose scores sum to the most.
class UnigramModel final : public WordModel {
 public:
  UnigramModel(const TokenizerData& data, const Vocabulary& vocabulary);
  void encode(std::string_view word, std::vector<Token>& tokens) const override;

 private:
  void append_unknown(std::string_view text, std::vector<Token>& tokens) const;

  ByteTrie trie_;
  double unknown_score_;
  bool as_sentencepiece_;
};

// `merges` ("left right") by pairs of tokens, left token << 32 | right token.
enum class EqualMerges { kFirstCounts, kLastCounts };
std::unordered_map<uint64_t, Merge<int32_t>> index_merges(const std::vector<std::string>& merges,
                                                          const Vocabulary& vocabulary,
                                                          EqualMerges equal);
uint64_t merge_key(Token left, Token right);

}  // namespace tessera
