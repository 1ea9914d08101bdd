#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/printable.h"
#include "base/utf8.h"
#include "files/gguf/tokenizer.h"
#include "files/gguf/word_piece.h"

namespace tessera::gguf {
namespace {

using Normal = NormalizerStep::Kind;
using Words = WordStep::Kind;

constexpr std::string_view kSpaceMark = "\u2581";

class Writer {
 public:
  Writer(const TokenizerData& data, GgufMetadata& metadata) : data_(data), metadata_(metadata) {}

  std::vector<std::string> write(size_t entries) {
    set("model", std::string(model()));
    const std::string& pre = data_.vocabulary.pre_tokenizer;
    set("pre", pre.empty() && data_.pipeline ? "default" : pre, !pre.empty() || data_.pipeline);
    write_entries(entries);
    write_roles();
    if (data_.kind == TokenizerKind::kWordPiece) {
      for (std::string& line : write_word_piece(data_, metadata_)) lost_.push_back(std::move(line));
    } else if (data_.kind == TokenizerKind::kBytePair || is_gemma4()) {
      if (data_.merges) set("merges", GgufValue::Array(*data_.merges), true);
      if (is_gemma4()) set("add_space_prefix", false);
    } else {
      write_spaces();
    }
    if (data_.pipeline && data_.kind != TokenizerKind::kWordPiece)
      tell_of_pipeline(*data_.pipeline);
    for (std::string& line : lost_) line = fmt::format("the tokenizer in GGUF: {}", line);
    return std::move(lost_);
  }

 private:
  // Which is what its readers know: see read_tokenizer.
  bool is_gemma4() const {
    return data_.kind == TokenizerKind::kSentencePiece && data_.merges &&
           metadata_.get_string("general.architecture") == kGemma4Model;
  }

  std::string_view model() const {
    if (is_gemma4()) return kGemma4Model;
    switch (data_.kind) {
      case TokenizerKind::kSentencePiece:
        return "llama";
      case TokenizerKind::kUnigram:
        return "t5";
      case TokenizerKind::kWordPiece:
        return "bert";
      case TokenizerKind::kBytePair:
        break;
    }
    return "gpt2";
  }

  void set(std::string_view key, GgufValue::Variant value, bool is_said = true) {
    std::string name = fmt::format("tokenizer.ggml.{}", key);
    if (is_said) {
      metadata_.set(std::move(name), {std::move(value)});
    } else {
      metadata_.erase(name);
    }
  }

  void set_flag(std::string_view key, std::optional<bool> flag) {
    set(key, flag.value_or(false), flag.has_value());
  }

  void write_entries(size_t entries) {
    const VocabularyData& from = data_.vocabulary;
    std::vector<std::string> texts = from.texts;
    std::vector<int32_t> types;
    for (size_t i = 0; i < texts.size(); ++i)
      types.push_back(from.types ? static_cast<int32_t>((*from.types)[i])
                                 : static_cast<int32_t>(TokenType::kNormal));
    write_scores(std::max(texts.size(), entries));
    const std::unordered_set<std::string_view> known(from.texts.begin(), from.texts.end());
    const bool marks_spaces = (data_.kind == TokenizerKind::kSentencePiece && !is_gemma4()) ||
                              data_.kind == TokenizerKind::kUnigram;
    if (data_.kind == TokenizerKind::kWordPiece) mark_word_pieces(data_, texts);
    for (size_t i = 0; i < texts.size() && marks_spaces; ++i) {
      if (types[i] != static_cast<int32_t>(TokenType::kUserDefined)) continue;
      // As llama.cpp's converter writes them: those are looked for in texts with spaces.
      std::string text = with_spaces(texts[i]);
      if (!known.contains(text)) texts[i] = std::move(text);
    }
    texts.reserve(std::max(texts.size(), entries));
    while (texts.size() < entries) {
      std::string text = fmt::format("[PAD{}]", texts.size());
      while (known.contains(text)) text += '_';
      texts.push_back(std::move(text));
      types.push_back(static_cast<int32_t>(TokenType::kUnused));
    }
    const bool has_types = from.types || texts.size() > from.texts.size();
    set("tokens", GgufValue::Array(texts));
    set("token_type", GgufValue::Array(types), has_types);
  }

  static std::string with_spaces(std::string_view text) {
    std::string result;
    while (!text.empty()) {
      const bool is_mark = text.starts_with(kSpaceMark);
      result += is_mark ? ' ' : text[0];
      text.remove_prefix(is_mark ? kSpaceMark.size() : 1);
    }
    return result;
  }

  void write_scores(size_t entries) {
    std::vector<double> scores;
    if (data_.vocabulary.scores) {
      scores = *data_.vocabulary.scores;
    } else if (data_.kind == TokenizerKind::kSentencePiece && !is_gemma4()) {
      scores = scores_of_merges();
    }
    std::vector<float> floats;
    for (const double score : scores) floats.push_back(static_cast<float>(score));
    if (!scores.empty()) floats.resize(entries);
    set("scores", GgufValue::Array(floats), !scores.empty());
  }

  // llama.cpp joins the neighbours first whose joint entry has the highest score.
  std::vector<double> scores_of_merges() {
    const VocabularyData& from = data_.vocabulary;
    std::unordered_map<std::string, size_t> first;  // merge that makes a text
    if (data_.merges) {
      for (size_t i = 0; i < data_.merges->size(); ++i) {
        std::string text = (*data_.merges)[i];
        if (const size_t space = text.find(' ', 1); space != std::string::npos)
          text.erase(space, 1);
        first.emplace(std::move(text), i);
      }
    }
    std::vector<double> scores;
    size_t unmade = 0;
    for (size_t i = 0; i < from.texts.size(); ++i) {
      const std::string& text = from.texts[i];
      const auto made = first.find(text);
      const bool is_normal = !from.types || (*from.types)[i] == TokenType::kNormal;
      const bool is_one = !text.empty() && utf8_length_from_lead(text[0]) >= text.size();
      if (made == first.end() && is_normal && !is_one) ++unmade;
      scores.push_back(made == first.end() ? -1e6 : -static_cast<double>(made->second));
    }
    if (unmade > 0)
      lost_.push_back(
          fmt::format("{} entries that no merge makes are joined all the same", unmade));
    return scores;
  }

  void set_id(std::string_view key, std::optional<int64_t> id) {
    const uint32_t none = std::numeric_limits<uint32_t>::max();
    set(key, id && *id >= 0 ? static_cast<uint32_t>(*id) : none, id.has_value());
  }

  void write_roles() {
    const VocabularyData& from = data_.vocabulary;
    set_id("bos_token_id", from.bos_token_id);
    set_id("eos_token_id", from.eos_token_id);
    set_id("unknown_token_id", from.unknown_token_id);
    set_id("padding_token_id", from.padding_token_id);
    set_id("eot_token_id", from.eot_token_id);
    set_id("eom_token_id", from.eom_token_id);
    set_flag("add_bos_token", from.add_bos_token);
    set_flag("add_eos_token", from.add_eos_token);
    if (!from.end_token_ids.empty())
      lost_.push_back(fmt::format("{} more tokens that end a text", from.end_token_ids.size()));
  }

  void write_spaces() {
    std::optional<bool> prefix = data_.add_space_prefix, reduces = data_.remove_extra_whitespaces;
    std::string charsmap = data_.precompiled_charsmap;
    if (const auto& pipeline = data_.pipeline) {
      prefix =
          std::ranges::any_of(pipeline->normalizer, is_prefix) ||
          std::ranges::any_of(pipeline->words, [](const WordStep& step) {
            return step.kind == Words::kMarkBeginning || step.kind == Words::kMarkVeryBeginning;
          });
      if (data_.kind == TokenizerKind::kUnigram)
        reduces = std::ranges::any_of(pipeline->normalizer, reduces_spaces);
      for (const NormalizerStep& step : pipeline->normalizer) {
        if (is_charsmap(step)) charsmap = step.content;
      }
    }
    set_flag("add_space_prefix", prefix);
    set_flag("remove_extra_whitespaces", reduces);
    const std::vector<uint8_t> bytes(charsmap.begin(), charsmap.end());
    set("precompiled_charsmap", GgufValue::Array(bytes),
        data_.kind == TokenizerKind::kUnigram && !bytes.empty());
  }

  static bool is_prefix(const NormalizerStep& step) {
    return step.kind == Normal::kPrepend && step.content == kSpaceMark;
  }
  static bool marks_spaces(const NormalizerStep& step) {
    return step.kind == Normal::kReplace && step.pattern == TextPattern{" ", false} &&
           step.content == kSpaceMark;
  }
  static bool is_charsmap(const NormalizerStep& step) {
    return step.kind == Normal::kCharsmap || step.kind == Normal::kOwnCharsmap;
  }
  static bool reduces_spaces(const NormalizerStep& step) {
    return step.kind == Normal::kReplace && (step.pattern == TextPattern{" {2,}", true} ||
                                             step.pattern == TextPattern{R"(\A +| +\z)", true});
  }

  void tell_of_pipeline(const TextPipeline& pipeline) {
    const bool of_bytes = data_.kind == TokenizerKind::kBytePair;
    const auto is_said = [&](const NormalizerStep& step) {
      if (of_bytes) return false;
      if (data_.kind == TokenizerKind::kUnigram && (is_charsmap(step) || reduces_spaces(step)))
        return true;
      return is_prefix(step) || marks_spaces(step);
    };
    const auto unsaid = std::ranges::count_if(
        pipeline.normalizer, [&](const NormalizerStep& step) { return !is_said(step); });
    if (unsaid > 0)
      lost_.push_back(fmt::format("texts are not normalized: {} of {} steps are left out", unsaid,
                                  pipeline.normalizer.size()));
    if (!pipeline.is_named)
      lost_.push_back(fmt::format("words are cut as those of '{}', the nearest that has a name",
                                  printable(data_.vocabulary.pre_tokenizer)));
    if (!of_bytes) tell_of_words(pipeline);
    if (of_bytes && std::ranges::any_of(pipeline.words, [](const WordStep& step) {
          return step.kind == Words::kPrependSpace;
        }))
      lost_.emplace_back("no space is put before the first word");
    const auto has_flags = [](const AddedToken& token) {
      return token.single_word || token.strips_left || token.strips_right;
    };
    if (const auto count = std::ranges::count_if(pipeline.added_tokens, has_flags); count > 0)
      lost_.push_back(
          fmt::format("{} added tokens lose what they say of the characters beside them", count));
  }

  void tell_of_words(const TextPipeline& pipeline) {
    // Cutting at marks and at spaces, of which none are left, makes no difference where merges and
    // entries do not cross them.
    const auto cuts = [](const WordStep& step) {
      return step.kind == Words::kPrependSpace || step.kind == Words::kToAlphabet ||
             (step.kind == Words::kSplit && step.pattern.text != kSpaceMark &&
              step.pattern.text != " ");
    };
    if (std::ranges::any_of(pipeline.words, cuts))
      lost_.emplace_back("texts are not cut into words first");
  }

  const TokenizerData& data_;
  GgufMetadata& metadata_;
  std::vector<std::string> lost_;
};

}  // namespace

std::vector<std::string> write_tokenizer(const TokenizerData& data, const ChatTemplates& templates,
                                         GgufMetadata& metadata, size_t entries) {
  constexpr std::string_view kKey = "tokenizer.chat_template",
                             kListKey = "tokenizer.chat_templates";
  std::vector<std::string> old;
  for (const auto& [key, value] : metadata.entries()) {
    if (key.starts_with(kKey)) old.push_back(key);
  }
  for (const std::string& key : old) metadata.erase(key);
  if (templates.standard) metadata.set(std::string(kKey), {*templates.standard});
  std::vector<std::string> names;
  for (const auto& [name, source] : templates.named) {
    metadata.set(fmt::format("{}.{}", kKey, name), {source});
    names.push_back(name);
  }
  if (!names.empty()) metadata.set(std::string(kListKey), {GgufValue::Array(names)});
  return Writer(data, metadata).write(entries);
}

}  // namespace tessera::gguf
