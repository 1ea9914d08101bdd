// From tokens to text as they come.
#pragma once

#include <string>

#include "text/tokenizer.h"

namespace tessera {

// Turns a stream of tokens into text that never ends in half a UTF-8 character. Bytes that can
// never become a character turn into U+FFFD, one for each maximal subpart (Unicode, section 3.9).
// The pieces are taken as they are: a leading space stays, for the text continues a prompt.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer, bool special = false);
  // The text that is complete after this token; bytes of an unfinished character wait.
  std::string push(Token token);
  // What is left at the end: an unfinished character becomes U+FFFD.
  std::string finish();

 private:
  const Tokenizer* tokenizer_;
  bool special_;
  std::string pending_;  // the beginning of a character, at most 3 bytes
};

}  // namespace tessera
