// How a text becomes words, and words become tokens, step by step: what a tokenizer.json says of
// it. Its parts mean what they mean to Hugging Face's "tokenizers", quirks included, because models
// were trained on the ids that it gives. https://huggingface.co/docs/tokenizers/components
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace tessera {

struct TextPattern {
  std::string text;
  bool is_regex = false;  // in Oniguruma's syntax; otherwise the text itself

  bool operator==(const TextPattern&) const = default;
};

// A change of all of a text, before it is cut into words.
struct NormalizerStep {
  enum class Kind {
    kNfc,
    kNfd,
    kNfkc,
    kNfkd,
    kLowercase,
    kStripLeft,   // white space at the beginning
    kStripRight,  // and at the end
    kPrepend,     // `content` before a text that is not empty
    kReplace,     // `content` for each match of `pattern`
    kSurround,    // `content` before and behind each match of `pattern`
    kCharsmap,    // `content` is SentencePiece's precompiled_charsmap (text/charsmap.h), applied as
                  // Hugging Face does: the shortest key for a cluster of characters
    kOwnCharsmap,  // the same, applied as SentencePiece does: the longest key at each place
    kToAlphabet,   // bytes become GPT-2's letters (checkpoint/byte_alphabet.h)
  };
  Kind kind = Kind::kNfc;
  TextPattern pattern;
  std::string content;

  bool operator==(const NormalizerStep&) const = default;
};

// What becomes of matches: cut out, words of their own, joined to the word before or behind, or
// words of their own in which neighbours are one.
enum class SplitBehaviour { kRemoved, kIsolated, kWithPrevious, kWithNext, kContiguous };

// A way to cut each word that the steps before it made, or a change of it.
struct WordStep {
  enum class Kind {
    kSplit,              // at the matches of `pattern`, or if `invert` at what lies between them
    kPrependSpace,       // unless the word begins with one
    kToAlphabet,         // bytes become GPT-2's letters
    kMarkSpaces,         // spaces become U+2581
    kMarkBeginning,      // U+2581 before the word, unless it is there
    kMarkVeryBeginning,  // the same, of the word that begins the text
  };
  Kind kind = Kind::kSplit;
  TextPattern pattern = {};
  SplitBehaviour behaviour = SplitBehaviour::kIsolated;
  bool invert = false;

  bool operator==(const WordStep&) const = default;
};

// A token that texts are searched for before they are cut into words.
struct AddedToken {
  int64_t id = 0;
  bool in_model = false;      // the model's own vocabulary has it, too
  bool special = false;       // steers the model: no text of its own
  bool normalized = false;    // looked for, normalized, in the normalized text
  bool as_it_is = false;      // there, but not normalized itself
  bool single_word = false;   // only where no letter or digit is beside it
  bool strips_left = false;   // takes the white space before it along
  bool strips_right = false;  // and behind it

  bool operator==(const AddedToken&) const = default;
};

struct TextPipeline {
  std::vector<NormalizerStep> normalizer;
  std::vector<WordStep> words;
  std::vector<AddedToken> added_tokens;
  // The model is that of TokenizerData::kind. Of the first three, kSentencePiece is byte-pair
  // encoding of characters, kBytePair of GPT-2's letters. Without merges, neighbours are joined
  // whose joint entry has the highest score.
  bool ignores_merges = false;  // a word that is an entry is that token, merges or not
  bool byte_fallback = false;   // characters without an entry become <0x00> to <0xFF>
  bool fuses_unknown = false;   // unknown neighbours are one token
  // Unigram as SentencePiece itself computes it: sums in single precision, and no text reads like a
  // byte token.
  bool as_sentencepiece = false;
  // WordPiece: what entries begin with that go on with a word, and how many characters a word may
  // have that is not unknown.
  std::string continuing_prefix = "##";
  int64_t longest_word = 100;
  std::optional<int64_t> unknown_id;  // absent: what is unknown is dropped
  // VocabularyData::pre_tokenizer names just this way to cut words, not only the nearest one.
  bool is_named = false;
  bool strips_first_space = false;  // decoding takes one away from the beginning

  bool operator==(const TextPipeline&) const = default;
};

}  // namespace tessera
