#include "text/tokenizer.h"

#include <utility>

#include "base/error.h"
#include "text/bpe_tokenizer.h"
#include "text/pipeline_tokenizer.h"
#include "text/pre_tokenizer.h"
#include "text/sentencepiece_tokenizer.h"
#include "text/special_spellings.h"
#include "text/special_tokens.h"
#include "text/unigram_tokenizer.h"
#include "text/vocabulary.h"

namespace tessera {
namespace {

// Normalization may triple a text, and positions in it are kept in 32 bits.
constexpr size_t kMaxTextBytes = size_t{1} << 30;

void check_token(const Vocabulary& vocabulary, Token token) {
  if (!vocabulary.contains(token)) {
    fail("token {} is outside the vocabulary of {} tokens", token, vocabulary.size());
  }
}

std::unique_ptr<const Tokenizer> make_byte_pair(TokenizerData data) {
  const PreTokenizerFamily family = find_pre_tokenizer_family(data.vocabulary.pre_tokenizer);
  if (!family.characters) return std::make_unique<const BpeTokenizer>(std::move(data), family);
  pair_characters(*family.characters, data);
  return std::make_unique<const PipelineTokenizer>(std::move(data));
}

}  // namespace

std::unique_ptr<const Tokenizer> Tokenizer::make(TokenizerData data) {
  if (data.pipeline) return std::make_unique<const PipelineTokenizer>(std::move(data));
  switch (data.kind) {
    case TokenizerKind::kBytePair:
      return make_byte_pair(std::move(data));
    case TokenizerKind::kSentencePiece:
      return std::make_unique<const SentencePieceTokenizer>(std::move(data));
    case TokenizerKind::kUnigram:
      return std::make_unique<const UnigramTokenizer>(std::move(data));
    case TokenizerKind::kWordPiece:
      break;  // has a pipeline
  }
  fail("tokenizer: its kind is unknown");
}

Tokenizer::Tokenizer(Vocabulary vocabulary, bool add_space_prefix)
    : vocabulary_(std::make_unique<const Vocabulary>(std::move(vocabulary))),
      special_tokens_(std::make_unique<const SpecialTokens>(*vocabulary_)),
      add_space_prefix_(add_space_prefix) {}

Tokenizer::~Tokenizer() = default;

std::vector<Token> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  if (text.size() > kMaxTextBytes) {
    fail("a text of {} bytes is too long to tokenize, at most {} expected", text.size(),
         kMaxTextBytes);
  }
  std::vector<Token> tokens;
  const Ends ends = encode_all(text, options, tokens);
  if (!options.add_special) return tokens;
  if (vocabulary_->adds_bos() && !ends.has_bos) tokens.insert(tokens.begin(), *vocabulary_->bos());
  if (vocabulary_->adds_eos() && !ends.has_eos) tokens.push_back(*vocabulary_->eos());
  return tokens;
}

Tokenizer::Ends Tokenizer::encode_all(std::string_view text, const EncodeOptions& options,
                                      std::vector<Token>& tokens) const {
  const auto fragments = special_tokens_->partition(text, options.parse_special, options.literal);
  bool after_special = !options.continues;
  for (const Fragment& fragment : fragments) {
    if (fragment.token == kNoToken) {
      encode_text(fragment.text, after_special, tokens);
    } else {
      tokens.push_back(fragment.token);
    }
    after_special = fragment.token != kNoToken;
  }
  if (fragments.empty()) return {};
  return {fragments.front().token == vocabulary_->bos(),
          fragments.back().token == vocabulary_->eos()};
}

std::string Tokenizer::piece(Token token, bool special) const {
  check_token(*vocabulary_, token);
  switch (vocabulary_->type(token)) {
    case TokenType::kControl:
    case TokenType::kUnknown:
      return special ? vocabulary_->text(token) : "";
    case TokenType::kUserDefined:
      return user_defined_piece(token);
    case TokenType::kNormal:
    case TokenType::kByte:
      return normal_piece(token);
    case TokenType::kUnused:
    case TokenType::kUndefined:
      break;
  }
  return "";
}

std::string Tokenizer::user_defined_piece(Token token) const {
  return vocabulary_->text(token);
}

std::string Tokenizer::decode(std::span<const Token> tokens, bool special) const {
  std::string text;
  bool at_first_word = add_space_prefix_;
  for (const Token token : tokens) {
    const std::string next = piece(token, special);
    // A token that shows nothing is no word.
    if (is_control(token) || next.empty()) {
      text += next;
      continue;
    }
    text += at_first_word && next.starts_with(' ') ? std::string_view(next).substr(1) : next;
    at_first_word = false;
  }
  return text;
}

size_t Tokenizer::vocabulary_size() const {
  return vocabulary_->size();
}

bool Tokenizer::is_end_of_generation(Token token) const {
  return vocabulary_->is_end_of_generation(token);
}

bool Tokenizer::is_control(Token token) const {
  return vocabulary_->contains(token) && vocabulary_->type(token) == TokenType::kControl;
}

std::optional<Token> Tokenizer::bos() const {
  return vocabulary_->bos();
}

std::optional<Token> Tokenizer::eos() const {
  return vocabulary_->eos();
}

bool Tokenizer::adds_bos() const {
  return vocabulary_->adds_bos();
}

std::vector<std::string> Tokenizer::control_texts() const {
  std::vector<std::string> texts;
  for (const Token token : vocabulary_->special_tokens()) {
    if (vocabulary_->steers(token)) texts.push_back(vocabulary_->text(token));
  }
  return texts;
}

const SpecialSpellings& Tokenizer::control_spellings() const {
  std::call_once(spellings_made_, [this] {
    control_spellings_ = std::make_unique<const SpecialSpellings>(control_texts());
  });
  return *control_spellings_;
}

const std::string& Tokenizer::token_text(Token token) const {
  check_token(*vocabulary_, token);
  return vocabulary_->text(token);
}

}  // namespace tessera
