// From the tokens of an answer to its text, as it grows.
#pragma once

#include <string>
#include <vector>

#include "text/stream_decoder.h"

namespace tessera {

// Gives out text that can no longer change: whole UTF-8 characters, and nothing that may turn out
// to be the beginning of a stop string.
class TextStream {
 public:
  TextStream(const Tokenizer& tokenizer, std::vector<std::string> stop)
      : decoder_(tokenizer), stop_(std::move(stop)) {}

  // The next safe piece of text. After a stop string, stopped() is true and no more comes. Tokens
  // that may not end the text come before all others; no stop string begins in them.
  std::string push(Token token, bool may_end = true) {
    std::string text = decoder_.push(token);
    return may_end ? take(std::move(text), false) : text;
  }
  std::string finish() { return take(decoder_.finish(), true); }
  bool stopped() const { return stopped_; }

 private:
  std::string take(std::string text, bool last);

  StreamDecoder decoder_;
  std::vector<std::string> stop_;
  std::string held_;  // may be the beginning of a stop string
  bool stopped_ = false;
};

}  // namespace tessera
