// Gemma 4's answers, in which tokens of its own mark what is no content:
//
//   <|channel>thought
//   what the model thinks<channel|>content<|tool_call>call:f{a:1}<tool_call|>
#pragma once

#include <string>
#include <string_view>

#include "text/tool_call.h"

namespace tessera {

// Tells the parts from each other while the text arrives in pieces of any size.
class ChannelParser {
 public:
  // What is not to be told apart stays content, marks included.
  struct Options {
    bool thoughts = true, calls = true;
  };
  explicit ChannelParser(const Options& options) : options_(options) {}

  // `is_last`: the text ends here; `is_cut`: not because the model ended it. Of a call that is cut
  // there is what there is, once its name is whole. A mark that opens nothing, or closes nothing,
  // is nothing.
  AnswerParts push(std::string_view text, bool is_last, bool is_cut);

 private:
  enum class State { kContent, kChannelName, kThought, kCall };

  // Each returns whether the state changed, and more may be read.
  bool read_text(AnswerParts& output, bool is_last);
  bool read_channel_name(bool is_last);
  bool read_call(AnswerParts& output, bool is_last, bool is_cut);
  void finish_call(AnswerParts& output, std::string_view text, bool is_closed, bool is_cut) const;

  Options options_;
  State state_ = State::kContent;
  std::string held_;  // not given out yet
};

}  // namespace tessera
