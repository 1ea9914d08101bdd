// Text to token ids and back.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/token.h"
#include "files/gguf.h"

namespace tessera {

struct EncodeOptions {
  bool add_special = true;    // put bos / eos where the model's metadata asks for them
  bool parse_special = true;  // "<|im_start|>" in the text is the control token, not its letters
};

class Tokenizer {
 public:
  // Reads tokenizer.ggml.*: models "gpt2" (byte-level BPE), "llama" (SentencePiece BPE with byte
  // fallback) and "t5" (SentencePiece unigram). Throws Error for anything else or malformed.
  static std::unique_ptr<const Tokenizer> load(const GgufMetadata& metadata);
  virtual ~Tokenizer() = default;

  // Invalid UTF-8 is encoded as the replacement character or as bytes, as the model's family does;
  // it is never an error.
  std::vector<Token> encode(std::string_view text, EncodeOptions options = {}) const;

  // The bytes that a token stands for in text. A control token gives "" unless `special`.
  std::string piece(Token token, bool special = false) const;
  std::string decode(std::span<const Token> tokens, bool special = false) const;

  size_t vocabulary_size() const;
  bool is_end_of_generation(Token token) const;  // eos, eot, <|im_end|>, <end_of_turn>, ...
  bool is_control(Token token) const;
  std::optional<Token> bos() const;
  std::optional<Token> eos() const;
  bool adds_bos() const;
  // The raw vocabulary entry, as the file has it.
  const std::string& token_text(Token token) const;
  std::optional<Token> find_token(std::string_view text) const;
};

// Turns a stream of tokens into text that never ends in half a UTF-8 character.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer, bool special = false);
  // The text that is complete after this token; bytes of an unfinished character wait.
  std::string push(Token token);
  // What is left at the end: an unfinished character becomes U+FFFD.
  std::string finish();
};

}  // namespace tessera
