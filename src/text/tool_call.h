// What an answer is made of, beside its text.
#pragma once

#include <string>
#include <vector>

namespace tessera {

struct ToolCall {
  std::string name;
  std::string arguments;  // JSON
  bool is_whole = true;   // else the arguments end where the answer was cut
};

// Of an answer, or of what has come of it.
struct AnswerParts {
  std::string content;
  std::string reasoning = {};  // what the model said to itself, in a channel of its own
  std::vector<ToolCall> calls = {};
};

}  // namespace tessera
