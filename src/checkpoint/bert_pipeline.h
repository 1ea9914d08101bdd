// How BERT's tokenizers change texts and cut them into words (Devlin et al. 2018): what a
// tokenizer.json calls BertNormalizer and BertPreTokenizer, and what a GGUF file means that calls
// its tokenizer "bert".
#pragma once

#include <vector>

#include "checkpoint/text_pipeline.h"

namespace tessera {

struct BertNormalizer {
  bool cleans_text = true;       // control characters go, all white space becomes spaces
  bool parts_ideographs = true;  // a space on either side of each
  bool strips_accents = true;
  bool lowercases = true;
};

std::vector<NormalizerStep> bert_normalizer(const BertNormalizer& options);

// Words end at white space; a punctuation mark is a word.
std::vector<WordStep> bert_words();

// Punctuation as Hugging Face's "tokenizers" has it, in Oniguruma's syntax: that of Unicode 8 (and
// ASCII's).
extern const char* const kBertPunctuation;

}  // namespace tessera
