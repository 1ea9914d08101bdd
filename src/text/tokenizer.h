// Text to token ids and back.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/token.h"
#include "checkpoint/tokenizer_data.h"

namespace tessera {

class SpecialSpellings;
class SpecialTokens;
class Vocabulary;

struct EncodeOptions {
  // Put bos and eos where the checkpoint asks for them, but not beside one that the text spells
  // out: a template, or who writes a prompt, may have done so. (llama.cpp puts a second one, and
  // warns.)
  bool add_special = true;
  bool parse_special = true;  // "<|im_start|>" in the text is the control token, not its letters
  // Places in the text, ascending: the characters that begin there are of no control token,
  // whatever stands around them. ChatPrompt says where the characters of messages are.
  std::span<const size_t> literal = {};
  // Other text stands before: SentencePiece puts no space before the first word.
  bool continues = false;
};

// Immutable once loaded: any number of threads may share one.
class Tokenizer {
 public:
  // Throws Error for whatever is missing or malformed.
  static std::unique_ptr<const Tokenizer> make(TokenizerData data);
  virtual ~Tokenizer();
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  // The ids are those of llama.cpp for every text that is valid UTF-8, or with a pipeline those of
  // Hugging Face's "tokenizers". Other text is never an
  // error: a byte that belongs to no character is encoded as the replacement character or as that
  // byte, as the model's family does. llama.cpp does the same, except that its byte-level BPE reads
  // overlong forms ("C0 AF" as "/") and surrogates as if they were characters, which the Unicode
  // standard forbids for the holes that it opens. Pieces of text never join to a control token, as
  // in SentencePiece; only a vocabulary made for it would let llama.cpp do that. Throws Error only
  // for text of more than 1 GiB.
  std::vector<Token> encode(std::string_view text, EncodeOptions options = {}) const;

  // The bytes that a token stands for in text. A control token gives "" unless `special`.
  // Throws Error for a token outside the vocabulary.
  std::string piece(Token token, bool special = false) const;
  // The pieces joined, less the space that SentencePiece models put before the first word.
  std::string decode(std::span<const Token> tokens, bool special = false) const;

  size_t vocabulary_size() const;
  bool is_end_of_generation(Token token) const;  // eos, eot, <|im_end|>, <end_of_turn>, ...
  bool is_control(Token token) const;
  std::optional<Token> bos() const;
  std::optional<Token> eos() const;
  bool adds_bos() const;
  // The raw vocabulary entry, as the checkpoint has it.
  const std::string& token_text(Token token) const;
  // The texts of the tokens that steer a model, and that parse_special is about.
  std::vector<std::string> control_texts() const;
  // Finds them in texts. Made when it is first asked for; any thread may.
  const SpecialSpellings& control_spellings() const;

 protected:
  // `add_space_prefix`: encode_text puts a space before the text that decode must take away again.
  Tokenizer(Vocabulary vocabulary, bool add_space_prefix);
  const Vocabulary& vocabulary() const { return *vocabulary_; }

  // What a text spells itself at its ends.
  struct Ends {
    bool has_bos = false, has_eos = false;
  };

 private:
  // Appends the tokens of all of `text`. This one searches it for special tokens as llama.cpp does.
  virtual Ends encode_all(std::string_view text, const EncodeOptions& options,
                          std::vector<Token>& tokens) const;
  // Appends the tokens of `text`, which holds no special token. `after_special`: it begins the
  // whole text or follows a special token.
  virtual void encode_text(std::string_view text, bool after_special,
                           std::vector<Token>& tokens) const = 0;
  // The bytes that the vocabulary entry of a normal or byte token stands for.
  virtual std::string normal_piece(Token token) const = 0;
  // Of a user-defined one: the entry itself.
  virtual std::string user_defined_piece(Token token) const;

  std::unique_ptr<const Vocabulary> vocabulary_;
  std::unique_ptr<const SpecialTokens> special_tokens_;
  bool add_space_prefix_;
  mutable std::once_flag spellings_made_;
  mutable std::unique_ptr<const SpecialSpellings> control_spellings_;
};

}  // namespace tessera
