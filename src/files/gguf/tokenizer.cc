#include "files/gguf/tokenizer.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/printable.h"
#include "checkpoint/character_pairs.h"
#include "files/gguf/word_piece.h"

namespace tessera::gguf {
namespace {

constexpr std::string_view kModel = "tokenizer.ggml.model";
// Words between white space (Jina Embeddings v2, Chinese).
constexpr std::string_view kWhitespaceModel = "whitespace";

TokenizerKind read_kind(const GgufMetadata& metadata) {
  const std::string model = metadata.require_string(kModel);
  if (model == "gpt2" || model == kWhitespaceModel) return TokenizerKind::kBytePair;
  if (model == "llama" || model == kGemma4Model) return TokenizerKind::kSentencePiece;
  if (model == "t5") return TokenizerKind::kUnigram;
  if (model == "bert") return TokenizerKind::kWordPiece;
  fail("key '{}': expected 'gpt2', 'llama', 't5', 'bert', '{}' or '{}', found '{}'", kModel,
       kWhitespaceModel, kGemma4Model, printable(model));
}

std::optional<std::vector<TokenType>> read_types(const GgufMetadata& metadata) {
  const auto numbers = metadata.get_ints("tokenizer.ggml.token_type");
  if (!numbers) return std::nullopt;
  std::vector<TokenType> types;
  types.reserve(numbers->size());
  for (const int64_t type : *numbers) {
    types.push_back(type >= 1 && type <= 6 ? static_cast<TokenType>(type) : TokenType::kUndefined);
  }
  return types;
}

std::optional<int64_t> read_id(const GgufMetadata& metadata, std::string_view key) {
  const auto id = metadata.get_int(key);
  // Some converters write "none" as the largest unsigned number.
  return id == std::numeric_limits<uint32_t>::max() ? -1 : id;
}

VocabularyData read_vocabulary(const GgufMetadata& metadata) {
  VocabularyData data;
  auto texts = metadata.get_strings("tokenizer.ggml.tokens");
  if (!texts) fail("key 'tokenizer.ggml.tokens' is missing: the file holds no vocabulary");
  data.texts = *std::move(texts);
  data.types = read_types(metadata);
  if (const auto scores = metadata.get_floats("tokenizer.ggml.scores"))
    data.scores.emplace(scores->begin(), scores->end());
  data.bos_token_id = read_id(metadata, "tokenizer.ggml.bos_token_id");
  data.eos_token_id = read_id(metadata, "tokenizer.ggml.eos_token_id");
  data.unknown_token_id = read_id(metadata, "tokenizer.ggml.unknown_token_id");
  data.padding_token_id = read_id(metadata, "tokenizer.ggml.padding_token_id");
  data.eot_token_id = read_id(metadata, "tokenizer.ggml.eot_token_id");
  data.eom_token_id = read_id(metadata, "tokenizer.ggml.eom_token_id");
  data.add_bos_token = metadata.get_bool("tokenizer.ggml.add_bos_token");
  data.add_eos_token = metadata.get_bool("tokenizer.ggml.add_eos_token");
  data.pre_tokenizer = metadata.get_string("tokenizer.ggml.pre").value_or("");
  data.architecture = metadata.get_string("general.architecture").value_or("");
  data.model_name = metadata.get_string("general.name").value_or("");
  return data;
}

std::string read_charsmap(const GgufMetadata& metadata) {
  constexpr std::string_view kKey = "tokenizer.ggml.precompiled_charsmap";
  const auto values = metadata.get_ints(kKey);
  if (!values) return {};
  std::string bytes;
  for (const int64_t value : *values) {
    // Stored as bytes, signed or not.
    if (value < -128 || value > 255) fail("key '{}': {} is no byte", kKey, value);
    bytes += static_cast<char>(value);
  }
  return bytes;
}

// Gemma 4's way, which no key tells. Files hold no merges for runs of newlines, which are tokens.
void read_gemma4(TokenizerData& data) {
  VocabularyData& vocabulary = data.vocabulary;
  vocabulary.add_bos_token = true;  // also in files that say false
  // It ends the model's turn, though parsers need to see it.
  const auto end = std::ranges::find(vocabulary.texts, "<|tool_response>");
  if (end != vocabulary.texts.end())
    vocabulary.end_token_ids.push_back(end - vocabulary.texts.begin());
  pair_characters({}, data);
}

}  // namespace

TokenizerData read_tokenizer(const GgufMetadata& metadata) {
  TokenizerData data;
  data.kind = read_kind(metadata);
  data.vocabulary = read_vocabulary(metadata);
  if (data.kind == TokenizerKind::kWordPiece) {
    complete_word_piece(metadata, data);
    return data;
  }
  const auto model = metadata.get_string(kModel);
  if (data.kind == TokenizerKind::kBytePair || model == kGemma4Model)
    data.merges = metadata.get_strings("tokenizer.ggml.merges");
  if (model == kGemma4Model) read_gemma4(data);
  if (model == kWhitespaceModel) {
    pair_characters(
        {.marks_spaces = false,
         .joins_newlines = false,
         .lowercases = metadata.get_bool("tokenizer.ggml.normalizer.lowercase").value_or(false)},
        data);
  }
  if (data.merges) return data;
  data.add_space_prefix = metadata.get_bool("tokenizer.ggml.add_space_prefix");
  data.remove_extra_whitespaces = metadata.get_bool("tokenizer.ggml.remove_extra_whitespaces");
  if (data.kind == TokenizerKind::kUnigram) data.precompiled_charsmap = read_charsmap(metadata);
  return data;
}

ChatTemplates read_chat_templates(const GgufMetadata& metadata) {
  constexpr std::string_view kKey = "tokenizer.chat_template", kNamed = "tokenizer.chat_template.";
  ChatTemplates templates;
  templates.standard = metadata.get_string(kKey);
  for (const auto& [key, value] : metadata.entries()) {
    if (!key.starts_with(kNamed)) continue;
    templates.named.emplace(key.substr(kNamed.size()), *metadata.get_string(key));
  }
  return templates;
}

}  // namespace tessera::gguf
