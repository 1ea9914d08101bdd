// Whether two models mean the same by their tokens.
#pragma once

#include <string>

#include "text/tokenizer.h"

namespace tessera {

// How the vocabulary of `other` first differs from `own`, in words that follow "another
// vocabulary: "; "": not at all. Beyond the tokenizers' ends models' vocabularies are padded, and
// may differ.
std::string vocabulary_difference(const Tokenizer& own, const Tokenizer& other);

}  // namespace tessera
