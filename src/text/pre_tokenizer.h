// Cuts text into words before byte-level BPE merges the bytes of each.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/character_pairs.h"

namespace tessera {

// One way of cutting. A word of the steps before it is cut into the matches of `pattern` and what
// lies between them, so nothing is lost.
struct SplitStep {
  // PCRE2 syntax with these shorthands: %L %N %M %P %S stand for \p{L} ... and %W for Unicode
  // white space, all usable inside brackets; %w is the opposite of %W, for use outside of them.
  std::string_view pattern;
  // Cut each match into groups of three from its right end too ("1 234 567"). An expression for
  // this would look ahead over the rest of the number at each group: quadratic.
  bool in_threes = false;
};

// What is known of a family of byte-level BPE vocabularies.
struct PreTokenizerFamily {
  std::span<const SplitStep> steps;
  bool ignore_merges = false;  // a word that is a vocabulary entry is that token, merges or not
  bool adds_bos = false;       // where the checkpoint does not say
  // Entries are texts, not GPT-2's letters for bytes, and texts are cut as this says.
  std::optional<CharacterPairs> characters = {};
};

// Throws Error for an unknown name. "" is "default", with a warning.
PreTokenizerFamily find_pre_tokenizer_family(std::string_view name);
// All known names, sorted.
std::vector<std::string_view> pre_tokenizer_names();

class PreTokenizer {
 public:
  explicit PreTokenizer(std::span<const SplitStep> steps);
  ~PreTokenizer();
  PreTokenizer(PreTokenizer&&) noexcept;

  // The words of `text`, which is valid UTF-8; joined they are the text again.
  std::vector<std::string_view> split(std::string_view text) const;

 private:
  class Step;
  std::vector<Step> steps_;
};

}  // namespace tessera
