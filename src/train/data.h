// Texts and conversations as examples to learn from.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/chat.h"
#include "text/tokenizer.h"
#include "train/example.h"

namespace tessera::train {

// Appends to `into`. `length`: tokens of an example, at most.
//
// A text, cut into examples of that length, each token of which is to be followed by the next.
void read_plain(const Tokenizer& tokenizer, std::string_view text, int length,
                std::vector<Example>& into);

// Lines of JSON, each an example:
//
//   {"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}
//   {"prompt": "...", "completion": "..."}
//   {"text": "..."}
//
// Of messages, written by the model's chat template, only the assistant's count, with the tokens
// that end them; of a prompt with a completion only the latter. Tokens beyond the length are left
// out. Error with the line for what is none of these. Returns how many lines were left out, since
// nothing of them counts within the length.
int read_lines(const Tokenizer& tokenizer, const ChatFormat& format, std::string_view lines,
               int length, std::vector<Example>& into);

struct Data {
  std::vector<Example> learned, held_out;
};

// Holds a share of the examples out, spread evenly over all: what is learned is judged by them.
// Error if nothing is left to learn from.
Data hold_out(std::vector<Example> examples, double share);

}  // namespace tessera::train
