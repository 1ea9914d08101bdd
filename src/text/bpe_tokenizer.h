// Byte-level BPE: GPT-2, Llama 3, Qwen, SmolLM, DeepSeek, Falcon, StarCoder, ... Radford et al.,
// "Language Models are Unsupervised Multitask Learners" (2019), section 2.2.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/merge_chain.h"
#include "text/pre_tokenizer.h"
#include "text/tokenizer.h"

namespace tessera {

class BpeTokenizer final : public Tokenizer {
 public:
  explicit BpeTokenizer(TokenizerData data);
  // As those of `family`, whatever the data call their pre-tokenizer.
  BpeTokenizer(TokenizerData&& data, const PreTokenizerFamily& family);

 private:
  void encode_text(std::string_view text, bool after_special,
                   std::vector<Token>& tokens) const override;
  void encode_word(std::string_view word, std::vector<Symbol>& scratch,
                   std::vector<Token>& tokens) const;
  std::string normal_piece(Token token) const override;

  PreTokenizer pre_tokenizer_;
  std::array<Token, 256> byte_tokens_;
  // Pairs of neighbours (left token << 32 | right token) and what they become.
  std::unordered_map<uint64_t, Merge<int32_t>> merges_;
  // Bytes to token, for vocabularies where a whole word is looked up before it is merged.
  std::unordered_map<std::string, Token> whole_words_;
};

}  // namespace tessera
