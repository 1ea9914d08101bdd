// Puts a vocabulary together from the several files of a folder that know of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "checkpoint/tokenizer_data.h"

namespace tessera::huggingface {

class VocabularyBuilder {
 public:
  // An entry of the model's own vocabulary. Error if the id or the text is taken, or the id is far
  // beyond what so many entries need.
  void add(int64_t id, std::string text, TokenType type = TokenType::kNormal, double score = 0);
  // How many entries the model's own vocabulary will have: bounds the ids.
  void expect(size_t entries) { expected_ = entries; }

  // A token that texts are searched for; its id is set here: that of the model's entry of this
  // text, or `id` if that is free. One that is there already has new flags. Error if it has another
  // id.
  void add_token(AddedToken token, std::string text);
  // A token that plays a role ("<s>"): it steers. Nothing happens if no entry reads so.
  void add_role(const AddedToken& flags, const std::string& text);

  std::optional<int64_t> find(const std::string& text) const;
  const std::string* text_of(int64_t id) const;  // nullptr if there is no such entry
  size_t size() const { return entries_.size(); }
  size_t own_entries() const { return own_; }  // of the model's vocabulary

  // Writes texts, types, scores and added tokens. Ids that nobody told of become unused entries.
  void finish(TokenizerData& data, bool with_scores);

 private:
  struct Entry {
    std::string text;
    TokenType type = TokenType::kUnused;
    double score = 0;
  };
  Entry& make_room(int64_t id);

  std::vector<Entry> entries_;  // unused: free
  std::unordered_map<std::string, int64_t> by_text_;
  std::vector<AddedToken> added_;
  std::unordered_map<int64_t, size_t> added_by_id_;
  size_t expected_ = 0, own_ = 0;
};

}  // namespace tessera::huggingface
