// Function calls in the text that a model writes.
//
//   Hermes (Qwen, Hermes, SmolLM3 and others):
//     <tool_call>{"name": "f", "arguments": {...}}</tool_call>, any number, text before them
//   Llama 3: the whole answer is {"name": "f", "parameters": {...}}, several separated by ";"
//   Gemma 4: <|tool_call>call:f{key:<|"|>text<|"|>}<tool_call|>, any number, behind text and
//   thoughts
//     (text/channel_parser.h)
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/channel_parser.h"
#include "text/chat.h"
#include "text/tool_call.h"

namespace tessera {

inline constexpr std::string_view kToolCallOpen = "<tool_call>", kToolCallClose = "</tool_call>";

// Tells the calls from the rest while the text arrives in pieces of any size. What turns out to be
// no call is content, unchanged.
class ToolCallParser {
 public:
  using Output = AnswerParts;
  // `names`: of the functions that there are. In the style of Llama 3, where nothing else tells a
  // call from JSON, only these are called; if it is empty, any.
  explicit ToolCallParser(ToolStyle style, std::vector<std::string> names = {})
      : style_(style), names_(std::move(names)) {
    if (style == ToolStyle::kGemma4) channels_.emplace(ChannelParser::Options());
  }
  // Of such models' answers where there are no tools, or where thoughts are to stay what they are.
  explicit ToolCallParser(const ChannelParser::Options& options)
      : style_(ToolStyle::kGemma4), channels_(options) {}
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
  std::optional<ChannelParser> channels_;  // of kGemma4
  std::string held_;                       // not given out yet
  bool in_call_ = false, plain_ = false;
  bool in_text_ = false;  // content has come since the beginning or the last call
};

}  // namespace tessera
