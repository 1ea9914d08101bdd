// Finds the added tokens of a TextPipeline in a text.
#pragma once

#include <bitset>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "checkpoint/text_pipeline.h"
#include "text/byte_trie.h"
#include "text/special_tokens.h"

namespace tessera {

class AddedTokens {
 public:
  struct Entry {
    std::string text;  // what is looked for
    AddedToken token;
  };
  explicit AddedTokens(std::span<const Entry> entries);

  // Cuts `text` at its tokens. The token that begins first counts, of several the longest.
  // `is_text(token, begin, end)`: what reads like that token stays text.
  template <typename IsText>
  std::vector<Fragment> partition(std::string_view text, IsText&& is_text) const {
    std::vector<Fragment> fragments;
    size_t done = 0;
    for (size_t place = 0; place < text.size();) {
      const Found found = find(text, place);
      if (found.length == 0) {
        ++place;
        continue;
      }
      const size_t end = place + found.length;
      if (!is_text(found.token, place, end)) take(text, found.token, place, end, done, fragments);
      place = end;
    }
    if (done != text.size()) fragments.push_back({kNoToken, text.substr(done)});
    return fragments;
  }

 private:
  struct Found {
    Token token = kNoToken;
    size_t length = 0;
  };
  struct Flags {
    bool single_word = false, strips_left = false, strips_right = false;
  };
  Found find(std::string_view text, size_t place) const;
  void take(std::string_view text, Token token, size_t begin, size_t end, size_t& done,
            std::vector<Fragment>& fragments) const;

  std::unordered_map<Token, Flags> flags_;
  ByteTrie trie_;
  std::bitset<256> first_bytes_;
};

}  // namespace tessera
