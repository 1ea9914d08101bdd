// Function calls in the text that a model writes.
//
//   Hermes (Qwen, Hermes, SmolLM3 and others):
//     <tool_call>{"name": "f", "arguments": {...}}</tool_call>, any number, text before them
//   Llama 3: the whole answer is {"name": "f", "parameters": {...}}, several separated by ";"
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/chat.h"

namespace tessera {

inline constexpr std::string_view kToolCallOpen = "<tool_call>", kToolCallClose = "</tool_call>";

struct ToolCall {
  std::string name;
  std::string arguments;  // JSON
  bool is_whole = true;   // else the arguments end where the answer was cut
};

// Tells the calls from the rest while the text arrives in pieces of any size. What turns out to be
// no call is content, unchanged.
class ToolCallParser {
 public:
  struct Output {
    std::string content;
    std::vector<ToolCall> calls;
  };
  // `names`: of the functions that there are. In the style of Llama 3, where nothing else tells a
  // call from JSON, only these are called; if it is empty, any.
  explicit ToolCallParser(ToolStyle style, std::vector<std::string> names = {})
      : style_(style), names_(std::move(names)) {}
  Output push(std::string_view text);
  // The text has ended. Where it `is_cut`, by its length or a stop text, what is the beginning of a
  // call is not content: what there is of the call is given, once its name is whole. A part of the
  // opening tag is one at the beginning of a line, where calls are written; within a line "1 <" is
  // text.
  Output finish(bool is_cut);

 private:
  enum class End { kOpen, kWhole, kCut };  // of the text: more comes, it is all, it is cut

  void push_hermes(Output& output, End end);
  bool is_tag_beginning(size_t ready) const;
  void finish_hermes_call(Output& output, std::string_view text, End end, bool is_closed) const;
  void push_llama3(Output& output, End end);
  bool read_llama3(Output& output, std::string_view text, bool is_cut) const;
  bool is_named(std::string_view name) const;
  bool may_be_named(std::string_view beginning) const;

  ToolStyle style_;
  std::vector<std::string> names_;
  std::string held_;  // not given out yet
  bool in_call_ = false, plain_ = false;
  bool in_text_ = false;  // content has come since the beginning or the last call
};

}  // namespace tessera
