#include "text/vocabulary_bridge.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/utf8.h"

namespace tessera {
namespace {

// A tail is cut anew with each token, so what is certain of it is settled from time to time; where
// no word begins, at any character, so far from its end.
constexpr size_t kLongTail = 256, kLongestTail = 1024, kLeftOfWord = 64;

bool is_blank(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}
bool is_word(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x80 || (byte >= '0' && byte <= '9') ||
         ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z');
}
bool begins_character(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
}

// Bytes at the end of a text that may become a character.
size_t unfinished(std::string_view text) {
  for (size_t size = 1; size <= std::min<size_t>(3, text.size()); ++size) {
    const std::string_view last = text.substr(text.size() - size);
    if (!begins_character(last.front())) continue;
    return inspect_utf8(last).kind == Utf8Prefix::Kind::kIncomplete ? size : 0;
  }
  return 0;
}

// Where the last word or line begins that every tokenizer would begin a token with, whatever
// follows; 0: nowhere.
size_t last_word(std::string_view text) {
  for (size_t at = text.size(); at-- > 1;) {
    const bool word =
        text[at] == ' ' && !is_blank(text[at - 1]) && at + 1 < text.size() && is_word(text[at + 1]);
    if (word || (text[at - 1] == '\n' && !is_blank(text[at]))) return at;
  }
  return 0;
}

// What a token stands for; at the beginning of a text without the space that is put there.
std::string piece(const Tokenizer& tokenizer, Token token, bool begins) {
  return begins ? tokenizer.decode(std::span(&token, 1)) : tokenizer.piece(token);
}

// The control token that reads so.
std::optional<Token> find_control(const Tokenizer& tokenizer, std::string_view text) {
  const std::vector<Token> tokens = tokenizer.encode(text, {.add_special = false});
  if (tokens.size() != 1 || !tokenizer.is_control(tokens[0])) return std::nullopt;
  return tokens[0];
}

}  // namespace

BridgedText::BridgedText(const VocabularyBridge& bridge) : bridge_(bridge) {
  if (bridge_.reader().adds_bos()) tokens_.push_back(*bridge_.reader().bos());
  settled_ = tokens_.size();
}

void BridgedText::read(Token token) {
  // Models may have more tokens than their tokenizers: those stand for nothing.
  if (static_cast<size_t>(token) >= bridge_.writer().vocabulary_size()) return;
  if (bridge_.writer().is_control(token)) return read_control(token);
  tail_ += piece(bridge_.writer(), token, begins_);
  begins_ = false;
  is_cut_ = false;
  if (tail_.size() < kLongTail) return;
  size_t size = last_word(tail_);
  if (size == 0 && tail_.size() >= kLongestTail) {
    size = tail_.size() - kLeftOfWord;
    for (int i = 0; i < 3 && !begins_character(tail_[size]); ++i) --size;
  }
  settle(size);
}

// Its like is the one of the same text; where there is none, that text.
void BridgedText::read_control(Token token) {
  settle(tail_.size());
  const Tokenizer &writer = bridge_.writer(), &reader = bridge_.reader();
  const bool is_first = begins_ && settled_ == (reader.adds_bos() ? 1 : 0);
  begins_ = tail_begins_ = true;
  if (is_first && writer.adds_bos() && token == writer.bos()) return;
  const std::string& text = writer.token_text(token);
  const std::optional<Token> same = find_control(reader, text);
  if (!same) {
    cut(text, tokens_);
    tail_begins_ = false;
  } else if (!is_first || tokens_.empty() || tokens_[0] != *same) {
    tokens_.push_back(*same);
  }
  settled_ = tokens_.size();
}

// The first bytes of the tail are cut as they are now.
void BridgedText::settle(size_t size) {
  tokens_.resize(settled_);
  if (size > 0) {
    cut(std::string_view(tail_).substr(0, size), tokens_);
    tail_.erase(0, size);
    tail_begins_ = false;
  }
  settled_ = tokens_.size();
  is_cut_ = tail_.empty();
}

void BridgedText::cut(std::string_view text, std::vector<Token>& to) const {
  const auto tokens = bridge_.reader().encode(
      text, {.add_special = false, .parse_special = false, .continues = !tail_begins_});
  to.insert(to.end(), tokens.begin(), tokens.end());
}

std::span<const Token> BridgedText::tokens() {
  if (!is_cut_) {
    tokens_.resize(settled_);
    cut(std::string_view(tail_).substr(0, tail_.size() - unfinished(tail_)), tokens_);
    is_cut_ = true;
  }
  return tokens_;
}

std::vector<BridgedText::Word> BridgedText::spell(std::span<const Token> continuation) const {
  const Tokenizer &writer = bridge_.writer(), &reader = bridge_.reader();
  const std::string_view begun = std::string_view(tail_).substr(tail_.size() - unfinished(tail_));
  std::string bytes;
  std::vector<size_t> ends;  // of the continuation's tokens
  std::optional<Token> control;
  for (const Token token : continuation) {
    if (reader.is_control(token)) {
      control = find_control(writer, reader.token_text(token));
      if (!control && reader.is_end_of_generation(token)) control = writer.eos();
      break;
    }
    bytes += piece(reader, token, tail_begins_ && tail_.empty() && ends.empty());
    ends.push_back(bytes.size());
  }
  const bool is_all = ends.size() == continuation.size();
  const size_t size = bytes.size() - unfinished(bytes);
  if (size < begun.size() || !bytes.starts_with(begun)) return {};
  const std::string_view text = std::string_view(bytes).substr(0, size);
  std::vector<Word> words;
  size_t at = 0;
  for (const Token token :
       writer.encode(text, {.add_special = false, .parse_special = false, .continues = !begins_})) {
    const std::string own = piece(writer, token, begins_ && at == 0);
    if (!text.substr(at).starts_with(own)) return words;
    const size_t from = std::exchange(at, at + own.size());
    if (from < begun.size()) {
      if (at > begun.size()) return {};
      continue;
    }
    // Those tokens that end behind its beginning, up to the first that reaches its end.
    const auto first = std::ranges::upper_bound(ends, from) - ends.begin();
    const auto last = std::ranges::lower_bound(ends, at) - ends.begin();
    words.push_back({token, static_cast<size_t>(std::min(first, last)), static_cast<size_t>(last)});
  }
  if (control && size == bytes.size())
    words.push_back({*control, ends.size(), ends.size()});
  else if (!words.empty())
    words.back().ends = is_all;
  return words;
}

}  // namespace tessera
