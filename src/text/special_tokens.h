// Finds special tokens in a text, before what lies between them is tokenized.
#pragma once

#include <bitset>
#include <span>
#include <string_view>
#include <vector>

#include "text/byte_trie.h"
#include "text/vocabulary.h"

namespace tessera {

// Either a special token or, where token is kNoToken, ordinary text (never empty).
struct Fragment {
  Token token;
  std::string_view text;
};

class SpecialTokens {
 public:
  // Keeps a reference to `vocabulary`.
  explicit SpecialTokens(const Vocabulary& vocabulary);

  // Cuts `text` at its special tokens; without `parse_special` only at the user-defined ones. The
  // characters at the places `literal`, which ascend, are of no control token.
  // Longer tokens win over shorter ones wherever they stand, then those further left, as in
  // llama.cpp. Time is linear in the text for any text.
  std::vector<Fragment> partition(std::string_view text, bool parse_special,
                                  std::span<const size_t> literal = {}) const;

 private:
  struct Match {
    Token token;
    size_t begin, end;              // of the token's own text
    size_t outer_begin, outer_end;  // with the white space that the token takes along
  };
  std::vector<Match> find_matches(std::string_view text, bool parse_special,
                                  std::span<const size_t> literal) const;

  const Vocabulary& vocabulary_;
  ByteTrie trie_;
  std::bitset<256> first_bytes_;
};

}  // namespace tessera
