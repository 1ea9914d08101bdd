// The drafters that Tessera comes with, a file each; registry.cc lists them.
#pragma once

#include "decode/drafter.h"

namespace tessera {

// Prompt lookup decoding (Saxena 2023): what followed the last few tokens when they last occurred
// is likely to follow again. Needs no model; pays off where an answer quotes its prompt.
struct PromptLookupOptions {
  int max_ngram = 3;     // tokens that have to match, at most
  int draft_tokens = 8;  // of a proposal, at most
};
std::unique_ptr<Drafter> make_prompt_lookup(PromptLookupOptions options = {});

}  // namespace tessera
