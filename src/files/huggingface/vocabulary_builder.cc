#include "files/huggingface/vocabulary_builder.h"

#include <utility>

#include "base/error.h"
#include "base/printable.h"

namespace tessera::huggingface {
namespace {

// More free ids than that nobody leaves.
constexpr size_t kMostHoles = 65536;

}  // namespace

VocabularyBuilder::Entry& VocabularyBuilder::make_room(int64_t id) {
  const size_t known = std::max(expected_, by_text_.size());  // holes make no room for more holes
  if (id < 0 || static_cast<uint64_t>(id) >= 2 * known + kMostHoles)
    fail("the id {} is far beyond the {} entries of the vocabulary", id, known);
  const auto place = static_cast<size_t>(id);
  if (place >= entries_.size()) entries_.resize(place + 1);
  return entries_[place];
}

void VocabularyBuilder::add(int64_t id, std::string text, TokenType type, double score) {
  Entry& entry = make_room(id);
  if (entry.type != TokenType::kUnused)
    fail("the id {} is that of '{}' and of '{}'", id, printable(entry.text), printable(text));
  const auto [other, added] = by_text_.emplace(text, id);
  if (!added) fail("'{}' has the ids {} and {}", printable(text), other->second, id);
  entry = {std::move(text), type, score};
  ++own_;
}

void VocabularyBuilder::add_token(AddedToken token, std::string text) {
  if (text.empty()) return;
  if (const auto known = find(text)) {
    if (token.id != *known)
      fail("the added token '{}' has the id {}, and {} in the vocabulary", printable(text),
           token.id, *known);
  } else {
    Entry& entry = make_room(token.id);
    if (entry.type != TokenType::kUnused)
      fail("the id {} is that of '{}' and of the added token '{}'", token.id, printable(entry.text),
           printable(text));
    by_text_.emplace(text, token.id);
    entry = {std::move(text), TokenType::kUserDefined, 0};
  }
  const auto [place, is_new] = added_by_id_.emplace(token.id, added_.size());
  if (is_new) {
    token.in_model = entries_[static_cast<size_t>(token.id)].type != TokenType::kUserDefined;
    added_.push_back(token);
  } else {
    AddedToken& before = added_[place->second];
    token.in_model = before.in_model;
    before = token;
  }
}

void VocabularyBuilder::add_role(const AddedToken& flags, const std::string& text) {
  const auto id = find(text);
  if (!id) return;  // there is no row in the model for it
  if (const auto known = added_by_id_.find(*id); known != added_by_id_.end()) {
    added_[known->second].special = true;
    return;
  }
  AddedToken token = flags;
  token.id = *id;
  token.special = true;
  add_token(token, text);
}

std::optional<int64_t> VocabularyBuilder::find(const std::string& text) const {
  const auto found = by_text_.find(text);
  return found == by_text_.end() ? std::nullopt : std::optional(found->second);
}

const std::string* VocabularyBuilder::text_of(int64_t id) const {
  if (id < 0 || static_cast<uint64_t>(id) >= entries_.size()) return nullptr;
  const Entry& entry = entries_[static_cast<size_t>(id)];
  return entry.type == TokenType::kUnused && entry.text.empty() ? nullptr : &entry.text;
}

void VocabularyBuilder::finish(TokenizerData& data, bool with_scores) {
  for (const AddedToken& token : added_) {
    TokenType& type = entries_[static_cast<size_t>(token.id)].type;
    // An unknown token stays one: it steers, too.
    if (token.special) {
      if (type != TokenType::kUnknown) type = TokenType::kControl;
    } else if (type == TokenType::kNormal) {
      type = TokenType::kUserDefined;
    }
  }
  VocabularyData& vocabulary = data.vocabulary;
  auto& types = vocabulary.types.emplace();
  if (with_scores) vocabulary.scores.emplace();
  for (size_t id = 0; id < entries_.size(); ++id) {
    Entry& entry = entries_[id];
    if (entry.type == TokenType::kUnused && entry.text.empty()) {
      entry.text = fmt::format("[PAD{}]", id);  // as llama.cpp's converter names them
      while (find(entry.text)) entry.text += '_';
      by_text_.emplace(entry.text, static_cast<int64_t>(id));
    }
    vocabulary.texts.push_back(std::move(entry.text));
    types.push_back(entry.type);
    if (with_scores) vocabulary.scores->push_back(entry.score);
  }
  data.pipeline->added_tokens = added_;
}

}  // namespace tessera::huggingface
