// Byte-pair encoding whose entries are texts as they are. GGUF says "gpt2" of these vocabularies,
// too, but they know no letters for bytes (checkpoint/byte_alphabet.h): merges join characters.
#pragma once

#include "checkpoint/tokenizer_data.h"

namespace tessera {

struct CharacterPairs {
  // True: spaces become U+2581 and stay (SentencePiece's way, which Gemma 4 has kept). False: words
  // end at white space, which is lost.
  bool marks_spaces = true;
  // A run of newlines that is an entry is that token, for no merges lead there.
  bool joins_newlines = true;
  bool lowercases = false;
};

// `data` with a pipeline that says so, made of its entries' types and its merges. Entries <0x00> to
// <0xFF> stand for the bytes of characters that have no entry. Throws Error without merges.
void pair_characters(const CharacterPairs& pairs, TokenizerData& data);

}  // namespace tessera
