// Tokenizers that say themselves how texts are cut (TextPipeline), with the ids of Hugging Face's
// "tokenizers": texts are searched for added tokens, what lies between is normalized, searched for
// those that are found in normalized text, cut into words, and each word becomes tokens.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/added_tokens.h"
#include "text/text_normalizer.h"
#include "text/tokenizer.h"
#include "text/word_model.h"
#include "text/word_splitter.h"

namespace tessera {

class PipelineTokenizer final : public Tokenizer {
 public:
  // data.pipeline is there.
  explicit PipelineTokenizer(TokenizerData data);

 private:
  class Run;

  Ends encode_all(std::string_view text, const EncodeOptions& options,
                  std::vector<Token>& tokens) const override;
  void encode_text(std::string_view text, bool after_special,
                   std::vector<Token>& tokens) const override;
  std::string normal_piece(Token token) const override;
  std::string user_defined_piece(Token token) const override;

  const TextPipeline pipeline_;
  bool is_byte_level_, is_word_piece_;
  TextNormalizer normalizer_;
  // Those that are found in the text as it is; those that are found in normalized text; and, for
  // texts with literal places, the first and all that steer a model.
  AddedTokens raw_tokens_, normalized_tokens_, steering_tokens_;
  // What those that are found in normalized text stand for, where that is not their own text.
  std::unordered_map<Token, std::string> normalized_texts_;
  WordSplitter splitter_;
  std::unique_ptr<const WordModel> model_;
};

}  // namespace tessera
