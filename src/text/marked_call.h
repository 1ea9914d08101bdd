// A function call in Gemma 4's notation, as JSON:
//
//   call:NAME{key:<|"|>text<|"|>,other:[1,true,{inner:null}]}
//
// Keys stand as they are or between quotes, which are one token of the model; texts have no
// escapes. What is JSON is understood, too: answers that must call are held to that.
// https://ai.google.dev/gemma/docs/core/prompt-formatting-gemma4
#pragma once

#include <string>
#include <string_view>

namespace tessera {

inline constexpr std::string_view kMarkedQuote = "<|\"|>";

struct MarkedCall {
  // Of what was read: a whole call, what can become one, or neither.
  enum class Kind { kWhole, kBeginning, kNone };
  Kind kind = Kind::kNone;
  std::string name;
  bool has_name = false;  // it is whole
  std::string arguments;  // JSON; of a beginning as far as it goes
};

// All of `text`. What is nested more deeply than templates nest is none.
MarkedCall parse_marked_call(std::string_view text);

// May a function have that name, which stands without quotes?
bool can_be_marked(std::string_view name);

// Where `mark` stands outside of the texts of a call; npos if it does not.
size_t find_outside_texts(std::string_view call, std::string_view mark);

}  // namespace tessera
