#include "checkpoint/character_pairs.h"

#include <algorithm>
#include <string_view>

#include "base/error.h"

namespace tessera {
namespace {

bool is_run_of_newlines(std::string_view text) {
  return text.size() > 1 && text.find_first_not_of('\n') == std::string_view::npos;
}

// Those that texts are searched for. Types of unequal number are refused later.
void add_tokens(const VocabularyData& vocabulary, TextPipeline& pipeline) {
  const std::vector<TokenType>& types = *vocabulary.types;
  for (size_t i = 0; i < std::min(types.size(), vocabulary.texts.size()); ++i) {
    const bool is_special = types[i] == TokenType::kControl || types[i] == TokenType::kUnknown;
    if (!is_special && types[i] != TokenType::kUserDefined) continue;
    AddedToken& token = pipeline.added_tokens.emplace_back();
    token.id = static_cast<int64_t>(i);
    token.in_model = true;
    token.special = is_special;
  }
}

WordStep cut_at(const char* pattern, SplitBehaviour behaviour) {
  return {.pattern = {pattern, true}, .behaviour = behaviour};
}

}  // namespace

void pair_characters(const CharacterPairs& pairs, TokenizerData& data) {
  if (!data.merges) fail("tokenizer: the merges are missing, which BPE needs");
  data.kind = TokenizerKind::kSentencePiece;
  VocabularyData& vocabulary = data.vocabulary;
  if (!vocabulary.types) vocabulary.types.emplace(vocabulary.texts.size(), TokenType::kNormal);
  std::vector<TokenType>& types = *vocabulary.types;
  for (size_t i = 0; i < std::min(types.size(), vocabulary.texts.size()); ++i) {
    if (pairs.joins_newlines && is_run_of_newlines(vocabulary.texts[i]))
      types[i] = TokenType::kUserDefined;
  }
  TextPipeline& pipeline = data.pipeline.emplace();
  pipeline.byte_fallback = true;
  if (pairs.lowercases) pipeline.normalizer.push_back({NormalizerStep::Kind::kLowercase, {}, {}});
  if (pairs.marks_spaces) {
    pipeline.normalizer.push_back({NormalizerStep::Kind::kReplace, {" ", false}, "\u2581"});
    if (!pairs.joins_newlines) pipeline.words.push_back(cut_at("\\n+", SplitBehaviour::kIsolated));
    pipeline.fuses_unknown = true;
    if (vocabulary.unknown_token_id.value_or(-1) >= 0)
      pipeline.unknown_id = vocabulary.unknown_token_id;
  } else {
    pipeline.words.push_back(cut_at("\\s+", SplitBehaviour::kRemoved));
  }
  add_tokens(vocabulary, pipeline);
}

}  // namespace tessera
