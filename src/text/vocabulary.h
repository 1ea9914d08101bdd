// A tokenizer's entries with their types and scores, and the roles some of them play.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/token.h"
#include "checkpoint/tokenizer_data.h"

namespace tessera {

inline constexpr Token kNoToken = -1;

// What holds where a checkpoint is silent; each kind of tokenizer has its own.
struct VocabularyDefaults {
  std::optional<Token> bos, eos, unknown;
  bool adds_bos = false;
  bool adds_eos = false;
};

class Vocabulary {
 public:
  // Throws Error if there is no entry or the lists have different lengths, if an entry is twice
  // there or absurdly long, or if an id lies outside the vocabulary.
  Vocabulary(VocabularyData data, const VocabularyDefaults& defaults);
  Vocabulary(Vocabulary&&) noexcept = default;
  Vocabulary(const Vocabulary&) = delete;

  size_t size() const { return texts_.size(); }
  bool contains(Token token) const {
    return token >= 0 && static_cast<size_t>(token) < texts_.size();
  }
  // kNoToken if no entry reads so.
  Token find(std::string_view text) const;
  // The same without control and unknown tokens: no text is tokenized to one of these.
  Token find_text(std::string_view text) const;
  // Of the longest entry, in bytes.
  size_t longest_text() const { return longest_text_; }

  // These need contains(token).
  const std::string& text(Token token) const { return texts_[static_cast<size_t>(token)]; }
  TokenType type(Token token) const { return types_[static_cast<size_t>(token)]; }
  double score(Token token) const { return scores_[static_cast<size_t>(token)]; }
  bool is_end_of_generation(Token token) const { return end_of_generation_.contains(token); }
  // In the text for its own sake (user-defined), or only when special tokens are parsed.
  bool needs_parse_special(Token token) const;
  // Not for what people write: control tokens, and the frames of gpt-oss's and Gemma 4's messages,
  // which are user-defined only so that they can be seen in answers.
  bool steers(Token token) const;
  // Takes the white space before / after it along ("<mask>", the tokens of Phi-3).
  bool strips_left(Token token) const { return strip_left_.contains(token); }
  bool strips_right(Token token) const { return strip_right_.contains(token); }
  // Control, unknown and user-defined tokens: text is searched for them before it is tokenized.
  std::vector<Token> special_tokens() const;

  std::optional<Token> bos() const { return bos_; }
  std::optional<Token> eos() const { return eos_; }
  std::optional<Token> unknown() const { return unknown_; }
  bool adds_bos() const { return adds_bos_; }  // implies bos()
  bool adds_eos() const { return adds_eos_; }  // implies eos()

 private:
  void take_texts(std::vector<std::string> texts);
  void take_types(std::optional<std::vector<TokenType>> types);
  void take_scores(std::optional<std::vector<double>> scores);
  void take_roles(const VocabularyData& data, const VocabularyDefaults& defaults);
  void show_control(Token token);
  void find_end_of_generation(const VocabularyData& data);
  void find_stripping_tokens(const VocabularyData& data);
  // `name` is that of the id, for messages.
  std::optional<Token> token_of(std::optional<int64_t> id, std::string_view name) const;

  std::vector<std::string> texts_;
  std::vector<TokenType> types_;
  std::vector<double> scores_;
  std::unordered_map<std::string_view, Token> by_text_;  // views into texts_
  size_t longest_text_ = 0;

  std::optional<Token> bos_, eos_, unknown_;
  bool adds_bos_ = false;
  bool adds_eos_ = false;
  std::unordered_set<Token> end_of_generation_;
  std::unordered_set<Token> control_by_name_;  // not typed control, yet named like one
  std::unordered_set<Token> shown_controls_;   // control tokens that became user-defined ones
  std::unordered_set<Token> strip_left_, strip_right_;
};

}  // namespace tessera
