#include "files/gguf/word_piece.h"

#include <algorithm>
#include <string_view>

#include "checkpoint/bert_pipeline.h"

namespace tessera::gguf {
namespace {

constexpr std::string_view kWordMark = "\u2581", kContinuing = "##";
constexpr std::string_view kLowercase = "tokenizer.ggml.normalizer.lowercase",
                           kStripAccents = "tokenizer.ggml.normalizer.strip_accents";

TokenType piece_type(const VocabularyData& vocabulary, size_t id) {
  return vocabulary.types && id < vocabulary.types->size() ? (*vocabulary.types)[id]
                                                           : TokenType::kNormal;
}

// The first that the file says, else the entry of that text.
std::optional<int64_t> named_id(const GgufMetadata& metadata, const VocabularyData& vocabulary,
                                std::initializer_list<std::string_view> keys,
                                std::string_view text) {
  for (const std::string_view key : keys) {
    const auto id = metadata.get_int(key);
    if (id && *id != UINT32_MAX) return id;
  }
  const auto found = std::ranges::find(vocabulary.texts, text);
  if (found == vocabulary.texts.end()) return std::nullopt;
  return found - vocabulary.texts.begin();
}

}  // namespace

void complete_word_piece(const GgufMetadata& metadata, TokenizerData& data) {
  VocabularyData& vocabulary = data.vocabulary;
  TextPipeline& pipeline = data.pipeline.emplace();
  // Which is which no key need tell.
  vocabulary.bos_token_id =
      named_id(metadata, vocabulary, {"tokenizer.ggml.cls_token_id", "tokenizer.ggml.bos_token_id"},
               "[CLS]");
  vocabulary.eos_token_id =
      named_id(metadata, vocabulary,
               {"tokenizer.ggml.seperator_token_id", "tokenizer.ggml.eos_token_id"}, "[SEP]");
  pipeline.unknown_id =
      named_id(metadata, vocabulary, {"tokenizer.ggml.unknown_token_id"}, "[UNK]");
  vocabulary.unknown_token_id = pipeline.unknown_id.value_or(-1);
  vocabulary.add_bos_token = vocabulary.bos_token_id.has_value();
  vocabulary.add_eos_token = vocabulary.eos_token_id.has_value();

  std::vector<TokenType> types;
  for (size_t id = 0; id < vocabulary.texts.size(); ++id) {
    TokenType type = piece_type(vocabulary, id);
    const auto number = static_cast<int64_t>(id);
    if (type == TokenType::kNormal && number == pipeline.unknown_id) type = TokenType::kUnknown;
    if (type == TokenType::kNormal &&
        (number == vocabulary.bos_token_id || number == vocabulary.eos_token_id))
      type = TokenType::kControl;
    types.push_back(type);
    std::string& text = vocabulary.texts[id];
    if (type == TokenType::kControl || type == TokenType::kUserDefined ||
        type == TokenType::kUnknown) {
      pipeline.added_tokens.push_back(
          {.id = number, .in_model = true, .special = type != TokenType::kUserDefined});
    } else if (type == TokenType::kNormal) {
      text = text.starts_with(kWordMark) ? text.substr(kWordMark.size())
                                         : std::string(kContinuing) + text;
    }
  }
  // Where they are not as many as the texts, the vocabulary tells.
  if (!vocabulary.types || vocabulary.types->size() == types.size())
    vocabulary.types = std::move(types);

  const bool lowercases = metadata.get_bool(kLowercase).value_or(true);
  pipeline.normalizer =
      bert_normalizer({.strips_accents = metadata.get_bool(kStripAccents).value_or(lowercases),
                       .lowercases = lowercases});
  pipeline.words = bert_words();
  pipeline.is_named = true;
  pipeline.strips_first_space = true;
}

void mark_word_pieces(const TokenizerData& data, std::vector<std::string>& texts) {
  const std::string& prefix = data.pipeline->continuing_prefix;
  for (size_t id = 0; id < texts.size(); ++id) {
    if (piece_type(data.vocabulary, id) != TokenType::kNormal) continue;
    std::string& text = texts[id];
    text = !prefix.empty() && text.starts_with(prefix) ? text.substr(prefix.size())
                                                       : std::string(kWordMark) + text;
  }
}

std::vector<std::string> write_word_piece(const TokenizerData& data, GgufMetadata& metadata) {
  std::vector<std::string> lost;
  const TextPipeline& pipeline = *data.pipeline;
  const auto has = [&](NormalizerStep::Kind kind) {
    return std::ranges::find(pipeline.normalizer, kind, &NormalizerStep::kind) !=
           pipeline.normalizer.end();
  };
  const BertNormalizer said{.strips_accents = has(NormalizerStep::Kind::kNfd),
                            .lowercases = has(NormalizerStep::Kind::kLowercase)};
  metadata.set(std::string(kLowercase), {said.lowercases});
  metadata.set(std::string(kStripAccents), {said.strips_accents});
  if (pipeline.normalizer != bert_normalizer(said))
    lost.emplace_back("texts are normalized as BERT's are, in their own way no longer");
  if (pipeline.words != bert_words())
    lost.emplace_back("words are cut as BERT's are, in their own way no longer");
  if (pipeline.longest_word != TextPipeline().longest_word)
    lost.emplace_back("words may have 100 characters");
  const auto has_flags = [](const AddedToken& token) {
    return token.single_word || token.strips_left || token.strips_right;
  };
  if (std::ranges::any_of(pipeline.added_tokens, has_flags))
    lost.emplace_back("added tokens lose what they say of the characters beside them");
  for (const auto& [key, id] :
       {std::pair("tokenizer.ggml.cls_token_id", data.vocabulary.bos_token_id),
        std::pair("tokenizer.ggml.seperator_token_id", data.vocabulary.eos_token_id)}) {
    if (id && *id >= 0) metadata.set(key, {static_cast<uint32_t>(*id)});
  }
  return lost;
}

}  // namespace tessera::gguf
