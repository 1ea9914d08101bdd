#include "text/vocabulary.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <limits>
#include <utility>

#include "base/error.h"

namespace tessera {
namespace {

// Far beyond any real entry (runs of spaces, lines of dashes); bounds the work per place in a text.
constexpr size_t kMaxTokenBytes = 16384;

// Files do not say which tokens end a generation, beyond eos, eot and eom; like llama.cpp we know
// them by name. <|fim_pad|>, <|repo_name|> and <|file_sep|> end a fill in the middle.
constexpr auto kEndOfGenerationNames = std::to_array<std::string_view>({
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<turn|>",
    "<|tool_response>",
    "[e~[",
    "<|ifm|im_end|>",
    "<\uFF5Cend\u2581of\u2581sentence\uFF5C>",
    "<|fim_pad|>",
    "<fim-pad>",
    "<fim_pad>",
    "<PAD>",
    "[PAD]",
    "<|fim_repo|>",
    "<|repo_name|>",
    "<fim-repo>",
    "<REPO>",
    "<reponame>",
    "<|file_sep|>",
});

// Named like control tokens; llama.cpp takes them for such whatever type the file gives.
constexpr auto kFillInMiddleNames = std::to_array<std::string_view>({
    "<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>",    "<\uFF5Cfim\u2581begin\uFF5C>",
    "<PRE>",          "\u2581<PRE>",  "<|code_prefix|>", "<|prefix|>",
    "<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>",    "<\uFF5Cfim\u2581hole\uFF5C>",
    "<SUF>",          "\u2581<SUF>",  "<|code_suffix|>", "<|suffix|>",
    "<|fim_middle|>", "<fim-middle>", "<fim_middle>",    "<\uFF5Cfim\u2581end\uFF5C>",
    "<MID>",          "\u2581<MID>",  "<|code_middle|>", "<|middle|>",
});

// The frames of gpt-oss's channels and of Gemma 4's channels and calls: parsers need to see them in
// the text.
constexpr auto kShownNames = std::to_array<std::string_view>({
    "<|channel|>",
    "<|message|>",
    "<|start|>",
    "<|constrain|>",
    "<|channel>",
    "<channel|>",
    "<|tool_call>",
    "<tool_call|>",
    "<|\"|>",
});

bool holds_any(std::string_view text, std::initializer_list<std::string_view> parts) {
  return std::any_of(parts.begin(), parts.end(), [&](std::string_view part) {
    return text.find(part) != std::string_view::npos;
  });
}

std::string lower_case(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

}  // namespace

Vocabulary::Vocabulary(VocabularyData data, const VocabularyDefaults& defaults) {
  take_texts(std::move(data.texts));
  take_types(std::move(data.types));
  take_scores(std::move(data.scores));
  take_roles(data, defaults);
  find_end_of_generation(data);
  find_stripping_tokens(data);
}

void Vocabulary::take_texts(std::vector<std::string> texts) {
  if (texts.empty()) fail("tokenizer: the vocabulary is empty");
  if (texts.size() > static_cast<size_t>(std::numeric_limits<Token>::max())) {
    fail("tokenizer: {} tokens are too many", texts.size());
  }
  texts_ = std::move(texts);
  by_text_.reserve(texts_.size());
  for (size_t i = 0; i < texts_.size(); ++i) {
    if (texts_[i].empty()) texts_[i] = fmt::format("[EMPTY_{}]", i);  // as llama.cpp names them
    const std::string& text = texts_[i];
    if (text.size() > kMaxTokenBytes) {
      fail("tokenizer: token {} has {} bytes, at most {} expected", i, text.size(), kMaxTokenBytes);
    }
    longest_text_ = std::max(longest_text_, text.size());
    const auto [other, added] = by_text_.emplace(text, static_cast<Token>(i));
    if (!added) fail("tokenizer: tokens {} and {} have the same text", other->second, i);
  }
}

void Vocabulary::take_types(std::optional<std::vector<TokenType>> types) {
  if (!types) {
    types_.assign(size(), TokenType::kNormal);
    return;
  }
  if (types->size() != size()) fail("tokenizer: {} types for {} tokens", types->size(), size());
  types_ = *std::move(types);
  for (const std::string_view name : kShownNames) {
    const Token token = find(name);
    if (token != kNoToken) show_control(token);
  }
}

void Vocabulary::take_scores(std::optional<std::vector<double>> scores) {
  if (!scores) {
    scores_.assign(size(), 0.0);
    return;
  }
  if (scores->size() != size()) fail("tokenizer: {} scores for {} tokens", scores->size(), size());
  for (size_t i = 0; i < size(); ++i) {
    if (std::isnan((*scores)[i])) fail("tokenizer: score {} is not a number", i);
  }
  scores_ = *std::move(scores);
}

std::optional<Token> Vocabulary::token_of(std::optional<int64_t> id, std::string_view name) const {
  if (!id || *id == kNoToken) return std::nullopt;
  if (*id < 0 || static_cast<uint64_t>(*id) >= size()) {
    fail("tokenizer: {} {} is outside the vocabulary of {} tokens", name, *id, size());
  }
  return static_cast<Token>(*id);
}

void Vocabulary::take_roles(const VocabularyData& data, const VocabularyDefaults& defaults) {
  const auto role = [&](std::optional<int64_t> id, std::string_view name,
                        std::optional<Token> standard) {
    if (id) return token_of(id, name);
    return standard && contains(*standard) ? standard : std::nullopt;
  };
  bos_ = role(data.bos_token_id, "bos_token_id", defaults.bos);
  eos_ = role(data.eos_token_id, "eos_token_id", defaults.eos);
  unknown_ = role(data.unknown_token_id, "unknown_token_id", defaults.unknown);

  const auto adds = [](std::optional<bool> asked, std::string_view name, std::string_view id_name,
                       bool standard, std::optional<Token> token) {
    if (asked.value_or(false) && !token) {
      fail("tokenizer: {} is true, but there is no valid {}", name, id_name);
    }
    return asked.value_or(standard) && token.has_value();
  };
  adds_bos_ = adds(data.add_bos_token, "add_bos_token", "bos_token_id", defaults.adds_bos, bos_);
  adds_eos_ = adds(data.add_eos_token, "add_eos_token", "eos_token_id", defaults.adds_eos, eos_);
}

void Vocabulary::find_end_of_generation(const VocabularyData& data) {
  for (const std::string_view name : kEndOfGenerationNames) {
    const Token token = find(name);
    if (token == kNoToken) continue;
    // Gemma has a user-defined "</s>" for HTML, Qwen a normal one: text, and no end of it. Yet
    // llama.cpp makes every token of these names a control token when it reads text.
    if (type(token) == TokenType::kControl) end_of_generation_.insert(token);
    control_by_name_.insert(token);
  }
  for (const std::string_view name : kFillInMiddleNames) {
    const Token token = find(name);
    if (token != kNoToken) control_by_name_.insert(token);
  }
  // gpt-oss and Solar end a message, not the generation, with <|end|>.
  const bool gpt_oss = find("<|return|>") != kNoToken && find("<|call|>") != kNoToken;
  const bool solar = find("<|calls|>") != kNoToken && find("<|flush|>") != kNoToken;
  if (const Token end = find("<|end|>"); end != kNoToken && (gpt_oss || solar)) {
    end_of_generation_.erase(end);
    control_by_name_.erase(end);
    show_control(end);
  }
  if (eos_) end_of_generation_.insert(*eos_);
  const auto eot = token_of(data.eot_token_id, "eot_token_id");
  const auto eom = token_of(data.eom_token_id, "eom_token_id");
  if (eot) end_of_generation_.insert(*eot);
  if (eom) end_of_generation_.insert(*eom);
  for (const int64_t id : data.end_token_ids) {
    if (const auto end = token_of(id, "end_token_ids")) end_of_generation_.insert(*end);
  }
}

// Files do not carry the strip attributes of tokenizer.json; llama.cpp knows the models by name.
void Vocabulary::find_stripping_tokens(const VocabularyData& data) {
  const std::string name = lower_case(data.model_name);
  const auto strip_left = [&](std::string_view text) {
    if (const Token token = find(text); token != kNoToken) strip_left_.insert(token);
  };
  if (holds_any(data.pre_tokenizer, {"jina-v2-de", "jina-v2-es", "jina-v2-code"}) ||
      holds_any(data.architecture, {"nomic-bert-moe", "jina-bert-v3"})) {
    strip_left("<mask>");
  } else if (holds_any(name, {"phi-3", "phi3"})) {
    for (const Token token : special_tokens()) strip_right_.insert(token);
    if (const Token token = find("</s>"); token != kNoToken) strip_right_.insert(token);
    for (const char* text : {"<unk>", "<s>", "<|endoftext|>"}) strip_right_.erase(find(text));
  } else if (holds_any(name, {"modern-bert"})) {
    strip_left("[MASK]");
  }
}

Token Vocabulary::find(std::string_view text) const {
  const auto found = by_text_.find(text);
  return found == by_text_.end() ? kNoToken : found->second;
}

Token Vocabulary::find_text(std::string_view text) const {
  const Token token = find(text);
  if (token == kNoToken) return token;
  return type(token) == TokenType::kControl || type(token) == TokenType::kUnknown ? kNoToken
                                                                                  : token;
}

bool Vocabulary::needs_parse_special(Token token) const {
  return type(token) != TokenType::kUserDefined || control_by_name_.contains(token);
}

bool Vocabulary::steers(Token token) const {
  return needs_parse_special(token) || shown_controls_.contains(token);
}

void Vocabulary::show_control(Token token) {
  // Some files have made it one that shows.
  shown_controls_.insert(token);
  types_[static_cast<size_t>(token)] = TokenType::kUserDefined;
}

std::vector<Token> Vocabulary::special_tokens() const {
  std::vector<Token> tokens;
  for (Token token = 0; contains(token); ++token) {
    const TokenType kind = type(token);
    if (kind == TokenType::kControl || kind == TokenType::kUnknown ||
        kind == TokenType::kUserDefined || control_by_name_.contains(token)) {
      tokens.push_back(token);
    }
  }
  return tokens;
}

}  // namespace tessera
