#include "text/pipeline_tokenizer.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "base/utf8.h"
#include "checkpoint/byte_alphabet.h"
#include "text/sentencepiece_tokenizer.h"
#include "text/vocabulary.h"
#include "text/word_piece_model.h"

namespace tessera {
namespace {

// Words repeat: each is looked up once for each call of encode. Bounded, for text may be anything.
constexpr size_t kMaxCachedWords = 1 << 16;
constexpr size_t kMaxCachedWordBytes = 64;
// Places in words are kept in 32 bits.
constexpr size_t kMaxWordBytes = std::numeric_limits<int32_t>::max() / 2;

// Entries for texts that the tokenizer finds, of tokens that `is_wanted`.
std::vector<AddedTokens::Entry> entries_of(
    const TextPipeline& pipeline, const Vocabulary& vocabulary, const TextNormalizer* normalizer,
    const std::function<bool(const AddedToken&)>& is_wanted) {
  std::vector<AddedTokens::Entry> entries;
  for (const AddedToken& token : pipeline.added_tokens) {
    if (!vocabulary.contains(static_cast<Token>(token.id)) || !is_wanted(token)) continue;
    const std::string& text = vocabulary.text(static_cast<Token>(token.id));
    const bool as_it_is = normalizer == nullptr || token.as_it_is;
    entries.push_back({as_it_is ? text : normalizer->normalize(text, false).text, token});
  }
  return entries;
}

VocabularyData take_vocabulary(TokenizerData& data) {
  if (data.kind == TokenizerKind::kUnigram) return with_scores(std::move(data.vocabulary));
  return std::move(data.vocabulary);
}

struct HashText {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};

}  // namespace

PipelineTokenizer::PipelineTokenizer(TokenizerData data)
    : Tokenizer(Vocabulary(take_vocabulary(data), {}), data.pipeline->strips_first_space),
      pipeline_(*data.pipeline),
      is_byte_level_(data.kind == TokenizerKind::kBytePair),
      is_word_piece_(data.kind == TokenizerKind::kWordPiece),
      normalizer_(pipeline_.normalizer),
      raw_tokens_(entries_of(pipeline_, vocabulary(), nullptr,
                             [](const AddedToken& token) { return !token.normalized; })),
      normalized_tokens_(entries_of(pipeline_, vocabulary(), &normalizer_,
                                    [](const AddedToken& token) { return token.normalized; })),
      steering_tokens_(entries_of(pipeline_, vocabulary(), nullptr,
                                  [&](const AddedToken& token) {
                                    return !token.normalized ||
                                           vocabulary().steers(static_cast<Token>(token.id));
                                  })),
      splitter_(pipeline_.words),
      model_(WordModel::make(data, vocabulary())) {
  for (const AddedToken& token : pipeline_.added_tokens) {
    if (!token.normalized || token.special || token.as_it_is) continue;
    const auto id = static_cast<Token>(token.id);
    std::string text = normalizer_.normalize(vocabulary().text(id), false).text;
    if (text != vocabulary().text(id)) normalized_texts_.emplace(id, std::move(text));
  }
}

// One call of encode.
class PipelineTokenizer::Run {
 public:
  Run(const PipelineTokenizer& tokenizer, const EncodeOptions& options, std::vector<Token>& tokens)
      : tokenizer_(tokenizer), options_(options), tokens_(tokens) {}

  Ends encode(std::string_view text) {
    const auto& raw =
        options_.literal.empty() ? tokenizer_.raw_tokens_ : tokenizer_.steering_tokens_;
    const auto fragments = raw.partition(text, [&](Token token, size_t begin, size_t end) {
      return stays_text(token) || (steers(token) && has_literal(begin, end));
    });
    for (const Fragment& fragment : fragments) {
      if (fragment.token != kNoToken) {
        add_special(fragment.token);
      } else {
        encode_raw(fragment.text, fragment.text.data() == text.data());
      }
    }
    const auto& vocabulary = tokenizer_.vocabulary();
    return {first_ != kNoToken && first_ == vocabulary.bos(),
            last_ != kNoToken && last_ == vocabulary.eos()};
  }

 private:
  bool steers(Token token) const { return tokenizer_.vocabulary().steers(token); }
  bool stays_text(Token token) const {
    return !options_.parse_special && tokenizer_.vocabulary().needs_parse_special(token);
  }
  bool has_literal(size_t begin, size_t end) const {
    const auto next = std::ranges::lower_bound(options_.literal, begin);
    return next != options_.literal.end() && *next < end;
  }

  void add_special(Token token) {
    if (tokens_.empty()) first_ = token;
    last_ = token;
    tokens_.push_back(token);
  }

  void encode_raw(std::string_view text, bool begins_text) {
    std::string repaired;
    if (!is_valid_utf8(text)) text = repaired = replace_invalid_bytes(text);
    const bool continues = begins_text && options_.continues;
    const TextNormalizer::Result normal = tokenizer_.normalizer_.normalize(text, continues);
    const std::string_view all = normal.text;
    const auto fragments =
        tokenizer_.normalized_tokens_.partition(all, [&](Token token, size_t, size_t) {
          // Where literal places are it is not known here; those that steer were found before.
          return stays_text(token) || (steers(token) && !options_.literal.empty());
        });
    for (const Fragment& fragment : fragments) {
      if (fragment.token != kNoToken) {
        add_special(fragment.token);
        continue;
      }
      const bool is_first = fragment.text.data() == all.data();
      encode_normal(fragment.text,
                    {.begins_text = begins_text && is_first && normal.keeps_beginning,
                     .continues = continues && is_first});
    }
  }

  void encode_normal(std::string_view text, WordSplitter::Place place) {
    last_ = kNoToken;
    const WordSplitter::Words words = tokenizer_.splitter_.split(std::string(text), place);
    for (const auto& word : words.words) {
      encode_word(std::string_view(words.text).substr(word.begin, word.end - word.begin));
    }
  }

  void encode_word(std::string_view word) {
    if (word.size() > kMaxWordBytes)
      fail("a word of {} bytes is too long to tokenize, at most {} expected", word.size(),
           kMaxWordBytes);
    const bool is_cacheable = word.size() <= kMaxCachedWordBytes;
    if (is_cacheable) {
      if (const auto known = cache_.find(word); known != cache_.end()) {
        const auto [begin, length] = known->second;
        for (size_t i = 0; i < length; ++i) tokens_.push_back(tokens_[begin + i]);
        return;
      }
    }
    const size_t begin = tokens_.size();
    tokenizer_.model_->encode(word, tokens_);
    if (is_cacheable && cache_.size() < kMaxCachedWords)
      cache_.emplace(word, std::pair(begin, tokens_.size() - begin));
  }

  const PipelineTokenizer& tokenizer_;
  const EncodeOptions& options_;
  std::vector<Token>& tokens_;
  // The added tokens that the text begins and ends with.
  Token first_ = kNoToken, last_ = kNoToken;
  // Where the tokens of words are that came before: begin and length.
  std::unordered_map<std::string, std::pair<size_t, size_t>, HashText, std::equal_to<>> cache_;
};

Tokenizer::Ends PipelineTokenizer::encode_all(std::string_view text, const EncodeOptions& options,
                                              std::vector<Token>& tokens) const {
  return Run(*this, options, tokens).encode(text);
}

void PipelineTokenizer::encode_text(std::string_view text, bool /*after_special*/,
                                    std::vector<Token>& tokens) const {
  encode_all(text, {}, tokens);
}

std::string PipelineTokenizer::user_defined_piece(Token token) const {
  const auto normalized = normalized_texts_.find(token);
  const std::string& text =
      normalized == normalized_texts_.end() ? vocabulary().text(token) : normalized->second;
  if (is_word_piece_) return ' ' + text;
  if (!is_byte_level_) return unmark_spaces(text);
  const auto bytes = bytes_from_alphabet(text);
  return bytes && is_valid_utf8(*bytes) ? *bytes : text;
}

std::string PipelineTokenizer::normal_piece(Token token) const {
  if (is_word_piece_) return word_piece(vocabulary().text(token), pipeline_.continuing_prefix);
  if (!is_byte_level_) return sentencepiece_piece(vocabulary(), token);
  const std::string& text = vocabulary().text(token);
  return bytes_from_alphabet(text).value_or(text);
}

}  // namespace tessera
