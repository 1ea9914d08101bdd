// Between two vocabularies, by way of bytes: what is written in tokens of one, as a model of
// another reads it, and what that one would write, in tokens of the first. Cut differently, the
// same text is as likely as before only nearly: this is for guesses, which somebody checks.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/token.h"
#include "text/tokenizer.h"

namespace tessera {

class VocabularyBridge {
 public:
  // `writer`, whose tokens the texts are in, must outlive it.
  VocabularyBridge(const Tokenizer& writer, std::unique_ptr<const Tokenizer> reader)
      : writer_(writer), reader_(std::move(reader)) {}
  const Tokenizer& writer() const { return writer_; }
  const Tokenizer& reader() const { return *reader_; }

 private:
  const Tokenizer& writer_;
  std::unique_ptr<const Tokenizer> reader_;
};

// One text, as it grows.
class BridgedText {
 public:
  // `bridge` must outlive it.
  explicit BridgedText(const VocabularyBridge& bridge);

  // The text goes on with a token of the writer's.
  void read(Token token);
  // All of it in tokens of the reader's, but an unfinished character at its end. Holds until
  // read(). The last of them may be others when the text has gone on.
  std::span<const Token> tokens();
  // So many of them, the first ones, stay as they are whatever comes.
  size_t settled() const { return settled_; }

  struct Word {
    Token token;        // of the writer's
    size_t from, last;  // of the continuation's tokens: those that it has bytes of
    bool ends = false;  // nothing is known behind it: it may be the beginning of a longer one
  };
  // How the writer cuts what the reader writes behind tokens(), as far as whole characters go.
  // Behind the first token that steers a model, or that contradicts the text, there is nothing.
  std::vector<Word> spell(std::span<const Token> continuation) const;

 private:
  void read_control(Token token);
  void settle(size_t size);
  void cut(std::string_view text, std::vector<Token>& to) const;

  const VocabularyBridge& bridge_;
  std::vector<Token> tokens_;
  size_t settled_ = 0;  // of tokens_: those that stay
  std::string tail_;    // the text behind them, cut again as it grows
  bool is_cut_ = true;  // tokens_ has the tail
  // Nothing, or a control token, stands before the tail, and before the text's next token: where
  // SentencePiece puts a space that is none.
  bool tail_begins_ = true, begins_ = true;
};

}  // namespace tessera
